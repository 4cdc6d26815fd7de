"""The exchange's clock: it can be frozen, run in real time or faster, and be moved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from threading import Lock
from time import monotonic

from threadx_duck.simulator.rollup import to_us

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock:
    """Starts at ``now`` and runs ``speed`` times as fast as real time; a speed of 0 freezes it."""

    def __init__(self, now: datetime, speed: float = 0.0) -> None:
        self.speed = speed
        self._lock = Lock()
        self._base_us = to_us(now)
        self._set_at = monotonic()
        self._started = self._set_at
        self._moved_us = 0

    @property
    def now_us(self) -> int:
        """Returns the time in microseconds since 1970."""
        with self._lock:
            return self._base_us + int((monotonic() - self._set_at) * self.speed * 1e6)

    @property
    def now(self) -> datetime:
        """Returns the time as a datetime in UTC."""
        return _EPOCH + timedelta(microseconds=self.now_us)

    def set(self, now: datetime) -> None:
        """Moves the clock to a time; a naive time is UTC."""
        before = self.now_us
        with self._lock:
            self._base_us, self._set_at = to_us(now), monotonic()
            self._moved_us += max(0, self._base_us - before)

    @property
    def limit_seconds(self) -> float:
        """Returns the time in seconds by which the request limits are counted.

        A frozen clock would count every request of a long run into one minute. Therefore, while the clock is
        frozen, this is the real time since the start plus the time by which the clock was moved forward.
        """
        if self.speed:
            return self.now_us / 1e6
        return monotonic() - self._started + self._moved_us / 1e6

    def real_seconds(self, seconds: float) -> float:
        """Returns how many real seconds pass while :attr:`limit_seconds` advances by ``seconds``."""
        return seconds / (self.speed or 1.0)
