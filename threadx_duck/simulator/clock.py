"""The exchange's clock: frozen, in real time or faster, and movable."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from threading import Lock
from time import monotonic

from threadx_duck.simulator.rollup import to_us

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock:
    """Runs ``speed`` times as fast as real time from ``now`` on; a speed of 0 is frozen."""

    def __init__(self, now: datetime, speed: float = 0.0) -> None:
        self.speed = speed
        self._lock = Lock()
        self._base_us = to_us(now)
        self._set_at = monotonic()
        self._started = self._set_at
        self._moved_us = 0

    @property
    def now_us(self) -> int:
        """Microseconds since 1970."""
        with self._lock:
            return self._base_us + int((monotonic() - self._set_at) * self.speed * 1e6)

    @property
    def now(self) -> datetime:
        """The same as a datetime in UTC."""
        return _EPOCH + timedelta(microseconds=self.now_us)

    def set(self, now: datetime) -> None:
        """Move the clock to a time; a naive one is UTC."""
        before = self.now_us
        with self._lock:
            self._base_us, self._set_at = to_us(now), monotonic()
            self._moved_us += max(0, self._base_us - before)

    @property
    def limit_seconds(self) -> float:
        """The time by which request limits are counted.

        A frozen clock would count every request of a long run into one minute, so there the minutes
        are real ones since the start, plus what the clock was moved forward by hand.
        """
        if self.speed:
            return self.now_us / 1e6
        return monotonic() - self._started + self._moved_us / 1e6

    def real_seconds(self, seconds: float) -> float:
        """Return how long a client has to wait for ``seconds`` of :attr:`limit_seconds` to pass."""
        return seconds / (self.speed or 1.0)
