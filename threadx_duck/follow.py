"""Updates stored symbols to the last closed minute, once per minute, until it is stopped."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from threadx_duck.candles.times import EPOCH, MINUTE, floor_minute, format_time
from threadx_duck.config import StoreSettings
from threadx_duck.errors import (
    BannedError,
    DownloadError,
    HostRefusedError,
    StoreError,
    StoreLockedError,
)
from threadx_duck.ingest import IngestionManager
from threadx_duck.storage.store import Store
from threadx_duck.texts.symbols import not_stored, nothing_stored, read_symbols
from threadx_duck.upkeep.publish import age_of_copy, renew

logger = logging.getLogger("threadx_duck.ingest")

# The exchange has a candle in its database a little after the minute closes.
_AFTER_CLOSE = timedelta(seconds=2)

# More requests make a ban longer, so the pause doubles after each refusal of the host.
_FIRST_PAUSE = timedelta(minutes=5)
_LONGEST_PAUSE = timedelta(hours=1)

# Key for an error that concerns the whole round, not one symbol.
_ALL = ""


class Follower:
    """Ingests after each minute closes, by the exchange's clock.

    Without symbols it follows every stored symbol, also those that are stored later. ``note`` is called with messages
    for a person: once when an error begins, not every minute, and once when it is over. ``wait`` waits for a number
    of seconds, and returns early if the follower is stopped. ``after_round`` is called with the time of the
    exchange's clock after each round that downloaded; this machine's clock is not used.
    """

    def __init__(
        self,
        manager: IngestionManager,
        symbols: Sequence[str] = (),
        *,
        note: Callable[[str], None] = lambda _: None,
        wait: Callable[[float], object] | None = None,
        after_round: Callable[[datetime], None] = lambda _: None,
    ) -> None:
        self._manager = manager
        self._symbols = tuple(dict.fromkeys(symbols))
        self._note = note
        self._stopped = threading.Event()
        self._wait = wait or self._stopped.wait
        self._after_round = after_round
        self._failing: dict[str, str] = {}
        self._pause = _FIRST_PAUSE
        self.rows_added = 0

    def stop(self) -> None:
        """Ends `run` after the current batch. Any thread or a signal handler may call it."""
        self._stopped.set()
        self._manager.stop()

    def run(self) -> None:
        """Follows until it is stopped. Raises `UsageError` for symbols that are not stored, and `StoreError`."""
        self.require_stored()
        while not self._stopped.is_set():
            self.run_round()
            if not self._stopped.is_set():
                self._wait(self._seconds_to_next)

    def run_round(self) -> bool:
        """Updates all symbols to the last closed minute. Returns True if there was no error. Raises `StoreError`.

        If the network fails, the exchange refuses, or another process holds the store, calls ``note``; the next
        round downloads what this one missed.
        """
        self._seconds_to_next = MINUTE.total_seconds()
        try:
            results = self._manager.update_assets_batch(self._symbols)
            clock = self._manager.server_time()
        except (DownloadError, StoreLockedError) as error:
            self._take_note(self._failing | {_ALL: str(error)})
            if isinstance(error, BannedError | HostRefusedError):
                self._seconds_to_next = self._pause.total_seconds()
                self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            return False
        self._pause = _FIRST_PAUSE
        self.rows_added += sum(result.rows_added for result in results.values())
        self._take_note({result.symbol: result.error for result in results.values() if result.error is not None})
        self._seconds_to_next = (floor_minute(clock) + MINUTE + _AFTER_CLOSE - clock).total_seconds()
        self._after_round(clock)
        logger.debug("up to %s", format_time(floor_minute(clock)))
        return not self._failing

    def require_stored(self) -> None:
        """Raises `UsageError` if a symbol to follow is not stored, or if nothing is stored."""
        self._manager.store.upgrade_first()
        stored = self._manager.stored_symbols()
        self._symbols = tuple(read_symbols(self._symbols, lambda: stored))
        unknown = [symbol for symbol in self._symbols if symbol not in stored]
        if unknown:
            raise not_stored(unknown, stored, "Run first: threadx ingest {} --start 2024-01-01")
        if not stored:
            raise nothing_stored(self._manager.store.name)

    def _take_note(self, failing: dict[str, str]) -> None:
        """Notes errors that are new, and the end of all errors."""
        before, self._failing = self._failing, failing
        if self._stopped.is_set():
            return
        new = [symbol for symbol in failing if symbol not in before]
        if new:
            names = ", ".join(filter(None, new))
            self._note(f"{names}{': ' if names else ''}{failing[new[-1]]} Trying again; it is said once.")
        if before and not failing:
            self._note("Up to date again.")


class PublishSchedule:
    """Renews the read copy that the settings name, if any, when ``every`` has passed by the clock of the caller.

    If the copy cannot be renewed, notes that once and tries again in each round.
    """

    def __init__(
        self, store: Store, settings: StoreSettings, every: timedelta, note: Callable[[str], None] = lambda _: None
    ) -> None:
        self._store = store
        self._settings = settings
        self._every = every
        self._note = note
        self._last: datetime | None = None
        self._is_failing = False

    def __call__(self, clock: datetime) -> None:
        """Renews the copy if it is due at the time ``clock``."""
        if not self._settings.read_copy:
            return
        if self._last is None:
            age = age_of_copy(self._settings)
            self._last = EPOCH if age is None else clock - age
        if clock - self._last >= self._every and self._renew():
            self._last = clock

    def finish(self) -> None:
        """Renews the copy if the store is newer, due or not, because no later round will."""
        self._renew()

    def _renew(self) -> bool:
        try:
            renew(self._store, self._settings)
        except StoreError as error:
            if not self._is_failing:
                self._note(f"The read copy is as old as before: {error}")
            self._is_failing = True
            return False
        self._is_failing = False
        return True
