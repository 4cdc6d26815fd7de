"""The request budget that all threads share: calls per window, the exchange's own counter, and its pauses."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pyrate_limiter import InMemoryBucket, Limiter, Rate
from pyrate_limiter.abstracts import BucketFactory, RateItem

from threadx_duck.errors import STOPPED, DownloadError
from threadx_duck.exchange.markets import KLINES_WEIGHT, WEIGHT_LIMIT
from threadx_duck.exchange.waits import Waits

logger = logging.getLogger("threadx_duck.sources")

_POLL_SECONDS = 0.2

# The exchange counts a call when it arrives, at most this long after it was sent.
_TRAVEL_SECONDS = 0.5


class _OneBucket(BucketFactory):
    """Serves one bucket and leaks it at every use, without the library's background thread."""

    def __init__(self, bucket: InMemoryBucket) -> None:
        self._bucket = bucket

    def wrap_item(self, name: str, weight: int = 1) -> RateItem:
        now: int = self._bucket.now()  # type: ignore[no-untyped-call]
        self._bucket.leak(now)
        return RateItem(name, now, weight=weight)

    def get(self, item: RateItem) -> InMemoryBucket:  # noqa: ARG002 - the library's signature
        return self._bucket


class RequestBudget:
    """At most ``calls`` requests in any ``window`` seconds, and never more weight than the exchange allows.

    The exchange counts per clock minute. Here every window of that length stays within the limit, so every clock
    minute does too, whatever the exchange's clock says. ``host`` is named to a person who waits for the budget.
    """

    def __init__(
        self, calls: int, window: float, stop: threading.Event, host: str = "", waits: Waits | None = None
    ) -> None:
        self.calls = calls
        self._window = window
        self._host = host or "the exchange"
        self._waits = waits or Waits()
        self.used = 0
        self.weight_limit = WEIGHT_LIMIT
        self.say: Callable[[str], None] = logger.warning
        self._limit_asked = False
        self._stop = stop
        self._lock = threading.Lock()
        self._in_flight = 0
        self._paused_until = 0.0
        milliseconds = round((window + _TRAVEL_SECONDS) * 1000)
        self._milliseconds = milliseconds
        self._bucket = InMemoryBucket([Rate(calls, milliseconds)])
        self._limiter = Limiter(_OneBucket(self._bucket))

    @contextmanager
    def call(self) -> Iterator[None]:
        """Waits until one more call may be sent. Raises `DownloadError` if the run is stopped meanwhile."""
        self._wait_for_pause()
        while not self._limiter.try_acquire("rest", timeout=_POLL_SECONDS):
            self.raise_if_stopped()
            self._tell_wait()
        self._wait_for_pause()
        with self._lock:
            self._in_flight += 1
            self.used += 1
        try:
            yield
        finally:
            with self._lock:
                self._in_flight -= 1

    def pause(self, seconds: float) -> None:
        """Pauses every thread for ``seconds`` from now."""
        with self._lock:
            self._paused_until = max(self._paused_until, time.monotonic() + seconds)

    def observe(self, used_weight: int, second_of_minute: int) -> None:
        """Reads the exchange's own counter; near the limit, pauses until the exchange's next clock minute."""
        with self._lock:
            room = self.weight_limit - used_weight - KLINES_WEIGHT * self._in_flight
        if room < KLINES_WEIGHT:
            seconds = 60 - second_of_minute
            self.pause(seconds)
            why = f"{used_weight:,} of {self.weight_limit:,} request weight at {self._host} are used."
            self._waits.tell(self._host, why, seconds)

    def may_learn_limit(self) -> bool:
        """True for the first caller only, so that the exchange is asked for its limit only once."""
        with self._lock:
            first, self._limit_asked = not self._limit_asked, True
        return first

    def raise_if_stopped(self) -> None:
        """Raises `DownloadError` if the run is being stopped."""
        if self._stop.is_set():
            raise DownloadError(STOPPED)

    def _tell_wait(self) -> None:
        """Tells until when the calls of the last window leave no room for one more."""
        oldest = self._bucket.peek(self.calls - 1)
        if oldest is not None:
            left = oldest.timestamp + self._milliseconds - self._bucket.now()  # type: ignore[no-untyped-call]
            why = (
                f"{self._host} gets at most {self.calls:,} requests in {self._window:g} seconds; "
                "see [data.api] rate_limit_calls."
            )
            self._waits.tell(self._host, why, left / 1000, is_routine=True)

    def _wait_for_pause(self) -> None:
        while (left := self._paused_until - time.monotonic()) > 0:
            self._stop.wait(left)
            self.raise_if_stopped()
        self.raise_if_stopped()
