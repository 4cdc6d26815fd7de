"""The request budget that all threads share: calls per window, the exchange's own counter, and its pauses."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from pyrate_limiter import InMemoryBucket, Limiter, Rate
from pyrate_limiter.abstracts import BucketFactory, RateItem

from threadx_duck.candles.times import utc_now
from threadx_duck.errors import STOPPED, DownloadError
from threadx_duck.exchange.markets import KLINES_WEIGHT, WEIGHT_LIMIT

logger = logging.getLogger("threadx_duck.sources")

_POLL_SECONDS = 0.2

# The exchange counts a call when it arrives, at most this long after it was sent.
_TRAVEL_SECONDS = 0.5

# A pause of at least this many seconds is reported.
_NOTICED_SECONDS = 5.0


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
    minute does too, whatever the exchange's clock says.
    """

    def __init__(self, calls: int, window: float, stop: threading.Event) -> None:
        self.calls = calls
        self.used = 0
        self.weight_limit = WEIGHT_LIMIT
        self.say: Callable[[str], None] = logger.warning
        self._limit_asked = False
        self._stop = stop
        self._lock = threading.Lock()
        self._in_flight = 0
        self._paused_until = 0.0
        milliseconds = round((window + _TRAVEL_SECONDS) * 1000)
        self._limiter = Limiter(_OneBucket(InMemoryBucket([Rate(calls, milliseconds)])))

    @contextmanager
    def call(self) -> Iterator[None]:
        """Waits until one more call may be sent. Raises `DownloadError` if the run is stopped meanwhile."""
        self._wait_for_pause()
        while not self._limiter.try_acquire("rest", timeout=_POLL_SECONDS):
            self.raise_if_stopped()
        self._wait_for_pause()
        with self._lock:
            self._in_flight += 1
            self.used += 1
        try:
            yield
        finally:
            with self._lock:
                self._in_flight -= 1

    def pause(self, seconds: float, why: str = "") -> None:
        """Pauses every thread for ``seconds`` from now. A pause that the user notices is reported with ``why``."""
        with self._lock:
            until = time.monotonic() + seconds
            is_news = until > self._paused_until + _NOTICED_SECONDS
            self._paused_until = max(self._paused_until, until)
        if is_news and seconds >= _NOTICED_SECONDS:
            ends = utc_now() + timedelta(seconds=seconds)
            self.say(
                f"{why or 'The request budget is used up.'} Waiting {seconds:.0f} seconds, until {ends:%H:%M:%S} UTC."
            )

    def observe(self, used_weight: int, second_of_minute: int) -> None:
        """Reads the exchange's own counter; near the limit, pauses until the exchange's next clock minute."""
        with self._lock:
            room = self.weight_limit - used_weight - KLINES_WEIGHT * self._in_flight
        if room < KLINES_WEIGHT:
            self.pause(60 - second_of_minute, f"{used_weight:,} of {self.weight_limit:,} request weight are used.")

    def may_learn_limit(self) -> bool:
        """True for the first caller only, so that the exchange is asked for its limit only once."""
        with self._lock:
            first, self._limit_asked = not self._limit_asked, True
        return first

    def raise_if_stopped(self) -> None:
        """Raises `DownloadError` if the run is being stopped."""
        if self._stop.is_set():
            raise DownloadError(STOPPED)

    def _wait_for_pause(self) -> None:
        while (left := self._paused_until - time.monotonic()) > 0:
            self._stop.wait(left)
            self.raise_if_stopped()
        self.raise_if_stopped()
