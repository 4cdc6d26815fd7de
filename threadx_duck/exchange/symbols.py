"""The list of the exchange's symbols, kept on disk for a day so that it is not requested twice."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import orjson

from threadx_duck.candles.times import DAY, utc_now
from threadx_duck.disk.whole_files import write_whole
from threadx_duck.errors import DownloadError, UsageError
from threadx_duck.exchange.markets import ExchangeSymbol, listed

logger = logging.getLogger("threadx_duck.sources")

CACHE_FILE = "symbols.json"
TRADING = "TRADING"

_FRESH = DAY


@dataclass(frozen=True)
class SymbolList:
    """Symbols sorted by name; ``asked_at`` is when they were fetched, by this machine's clock, UTC.

    ``error`` says why an old list was not renewed; None if it was renewed or did not need to be.
    """

    symbols: tuple[ExchangeSymbol, ...]
    asked_at: datetime
    error: str | None = None

    @property
    def age(self) -> timedelta:
        """The age of the list."""
        return utc_now() - self.asked_at

    def select(self, *, quote: str | None = None, status: str | None = None) -> SymbolList:
        """Returns a list of the symbols with a quote asset, a status, or both, in upper or lower case."""
        chosen = (
            entry
            for entry in self.symbols
            if (quote is None or entry.quote == quote.upper()) and (status is None or entry.status == status.upper())
        )
        return replace(self, symbols=tuple(chosen))


class SymbolCache:
    """The last list that a host sent, in a file of the data folder."""

    def __init__(self, folder: Path, host: str) -> None:
        self._file = folder / CACHE_FILE
        self._host = host

    def list(self, fetch: Callable[[], list[ExchangeSymbol]], *, refresh: bool = False) -> SymbolList:
        """Returns the kept list if it is at most a day old, else a new list from ``fetch``.

        If ``fetch`` fails, returns an older list, with the reason in ``error``. Raises `DownloadError` if there is
        no list at all.
        """
        kept = self.read()
        if kept is not None and not refresh and timedelta() <= kept.age <= _FRESH:
            return kept
        try:
            made = SymbolList(tuple(fetch()), utc_now().replace(microsecond=0))
        except DownloadError as error:
            if kept is None:
                raise
            return replace(kept, error=str(error))
        self._keep(made)
        return made

    def read(self) -> SymbolList | None:
        """Returns the kept list, however old; None if there is no readable list of this host."""
        try:
            kept = orjson.loads(self._file.read_bytes())
            if kept["host"] != self._host:
                return None
            symbols = tuple(listed(kept["symbols"]))
            return SymbolList(symbols, datetime.fromisoformat(kept["asked_at"]).replace(tzinfo=None))
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return None

    def _keep(self, made: SymbolList) -> None:
        """Writes the list in one step. If the folder is not writable, the list is fetched again next time."""
        document = {"host": self._host, "asked_at": made.asked_at, "symbols": [list(entry) for entry in made.symbols]}
        try:
            write_whole(self._file, orjson.dumps(document, option=orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z))
        except (OSError, UsageError) as error:
            logger.warning("the list of symbols was not kept: %s", error)
