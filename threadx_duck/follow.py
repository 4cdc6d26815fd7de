"""Keeps stored symbols up to the last closed minute, minute after minute, until it is stopped."""

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

# A candle reaches the exchange's database a little after its minute closes.
_AFTER_CLOSE = timedelta(seconds=2)

# Asking on makes a ban longer: after a refusal of the host it is asked again later and later.
_FIRST_PAUSE = timedelta(minutes=5)
_LONGEST_PAUSE = timedelta(hours=1)

# In whose place the trouble of a whole round stands.
_ALL = ""


class Follower:
    """Ingests after each minute closes, by the exchange's clock.

    Without symbols it follows every stored one, also those that are stored later. ``note`` is told what a
    person must know: trouble once, not every minute, and when it is over. ``wait`` waits so many seconds,
    unless it is stopped. ``after_round`` is called with the exchange's clock after each round that went
    well; the clock moves on as the rounds do, whatever this machine's clock says.
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
        """Ends `run` after the batch in hand; may be called from any thread or a signal handler."""
        self._stopped.set()
        self._manager.stop()

    def run(self) -> None:
        """Follows until it is stopped. Raises `UsageError` for symbols that are not stored; `StoreError`."""
        self.require_stored()
        while not self._stopped.is_set():
            self.run_round()
            if not self._stopped.is_set():
                self._wait(self._seconds_to_next)

    def run_round(self) -> bool:
        """Brings everything up to the last closed minute; whether all went well. Raises `StoreError`.

        A network that is away, an exchange that refuses and a store that another process holds are
        noted; the next round makes up for them.
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
        """Raises `UsageError` unless there is something to follow."""
        self._manager.store.upgrade_first()
        stored = self._manager.stored_symbols()
        self._symbols = tuple(read_symbols(self._symbols, lambda: stored))
        unknown = [symbol for symbol in self._symbols if symbol not in stored]
        if unknown:
            raise not_stored(unknown, stored, "Run first: threadx ingest {} --start 2024-01-01")
        if not stored:
            raise nothing_stored(self._manager.store.name)

    def _take_note(self, failing: dict[str, str]) -> None:
        """Says what fails now and did not before, and what no longer does."""
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
    """Renews the read copy of the settings, if they name one, whenever so much time has passed by a clock.

    A copy that cannot be renewed is noted once and tried again with each round.
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
        """Publishes if it is due."""
        if not self._settings.read_copy:
            return
        if self._last is None:
            age = age_of_copy(self._settings)
            self._last = EPOCH if age is None else clock - age
        if clock - self._last >= self._every and self._renew():
            self._last = clock

    def finish(self) -> None:
        """Publishes what is newer than the copy, due or not: nobody will later."""
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
