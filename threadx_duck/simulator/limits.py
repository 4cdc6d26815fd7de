"""The exchange's request limits: weight per clock minute, requests per five minutes, and the ban for ignoring them."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock

_RAW_WINDOW = 300


@dataclass(frozen=True)
class Charge:
    """The result of counting one request: the weight used so far in its minute, and whether it is refused.

    ``status`` is 200, 429 or 418; ``wait`` is the number of seconds until requests are served again; ``raw`` is
    true if the request exceeded the limit of requests per five minutes.
    """

    used: int
    status: int = 200
    wait: float = 0.0
    raw: bool = False


class Limits:
    """Counts in fixed windows, not sliding ones; refused requests count as well.

    After ``ban_after`` refusals within one minute the next one is 418 instead of 429. The first ban lasts
    ``ban_seconds``, each later one twice as long as the one before.
    """

    def __init__(self, weight: int, raw: int, *, ban_after: int, ban_seconds: float) -> None:
        self.weight, self.raw = weight, raw
        self._ban_after, self._ban_seconds = ban_after, ban_seconds
        self._lock = Lock()
        self._minute = self._raw_window = -1
        self._used = self._raw_used = self._refused = self._bans = 0
        self._banned_until = 0.0

    def charge(self, weight: int, seconds: float) -> Charge:
        """Counts one request at the time ``seconds`` and returns the result."""
        with self._lock:
            self._open_windows(seconds)
            self._used += weight
            self._raw_used += 1
            if seconds < self._banned_until:
                return Charge(self._used, 418, self._banned_until - seconds)
            over_raw = self._raw_used > self.raw
            if self._used <= self.weight and not over_raw:
                return Charge(self._used)
            self._refused += 1
            if self._refused > self._ban_after:
                self._banned_until = seconds + self._ban_seconds * 2**self._bans
                self._bans += 1
                self._refused = 0
                return Charge(self._used, 418, self._banned_until - seconds)
            window = _RAW_WINDOW if over_raw else 60
            return Charge(self._used, 429, window - seconds % window, over_raw)

    def _open_windows(self, seconds: float) -> None:
        minute, raw_window = int(seconds // 60), int(seconds // _RAW_WINDOW)
        if minute != self._minute:
            self._minute, self._used, self._refused = minute, 0, 0
        if raw_window != self._raw_window:
            self._raw_window, self._raw_used = raw_window, 0
