"""Compares derived candles with the exchange's own candles, and fetches these if they are not stored yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from threadx_duck.audit.natives import fetch_candles, grid_of, has_own_grid, native_timeframe, store_natives
from threadx_duck.candles.klines import typed
from threadx_duck.candles.ranges import TimeRange, subtract_ranges
from threadx_duck.candles.timeframes import ONE_MINUTE, Timeframe
from threadx_duck.candles.times import MINUTE
from threadx_duck.errors import DownloadError, UsageError
from threadx_duck.texts.symbols import not_stored

if TYPE_CHECKING:
    from threadx_duck.exchange.rest import RestSource
    from threadx_duck.ledger.requests import OpenRequest
    from threadx_duck.storage.store import Session, Store

Ranges = dict[str, list[TimeRange]]

# Ranges, or a function that finds them in the store.
Wanted = Ranges | Callable[["Session"], Ranges]


@dataclass(frozen=True)
class Mismatch:
    """One value of one candle that differs from the exchange's.

    ``field`` is ``candle`` if only one side has the candle; that side's value is then the close of the candle.
    """

    symbol: str
    open_time: datetime
    field: str
    ours: float | int | None
    theirs: float | int | None
    is_complete: bool


class Comparison(NamedTuple):
    """The comparison of one symbol's candles: the number compared, the differences, the number not compared."""

    compared: int
    mismatches: list[Mismatch]
    uncompared: int = 0

    @property
    def opens(self) -> list[datetime]:
        """The open times of the candles that differ, in order."""
        return list(dict.fromkeys(mismatch.open_time for mismatch in self.mismatches))


class DifferingMinutes(NamedTuple):
    """A run of minutes that differ between the store and an answer.

    ``differing`` minutes have other values; the other two counts are the minutes that only one side has.
    """

    span: TimeRange
    differing: int
    only_stored: int
    only_answered: int


class AskedAt(NamedTuple):
    """When our minutes and the exchange's candle were requested, and when the minutes were last revised."""

    ours: datetime | None
    theirs: datetime | None
    revised: datetime | None


class Comparer:
    """Compares symbols of a store at any timeframe. ``rest`` is called only if a request is needed.

    ``failed`` maps each symbol whose candles could not be fetched to the error.
    """

    def __init__(self, store: Store, rest: Callable[[], RestSource], symbols_at_once: int) -> None:
        self._store = store
        self._rest = rest
        self._symbols_at_once = symbols_at_once
        self.failed: dict[str, str] = {}

    def compare(self, wanted: Wanted, timeframe: Timeframe) -> dict[str, Comparison]:
        """Compares the candles that open in the given ranges, if their minutes are stored or known to be absent.

        Fetches the exchange's candles that are not stored yet, and stores them. A symbol whose candles cannot be
        fetched is left out and added to ``failed``. Raises `DownloadError` only if no other symbol could be fetched
        either.
        """
        native = require_native(timeframe)
        with self._store.reading() as session:
            ranges = wanted(session) if callable(wanted) else wanted
            asked, unasked = _verifiable(session, ranges, timeframe, native)
            if not unasked:
                return _compare(session, ranges, asked, timeframe, native)
        self._ask(unasked, native)
        with self._store.reading() as session:
            asked, _ = _verifiable(session, ranges, timeframe, native)
            left = {symbol: spans for symbol, spans in ranges.items() if symbol not in self.failed}
            return _compare(session, left, asked, timeframe, native)

    def ask_again(self, symbol: str, timeframe: Timeframe, ranges: Sequence[TimeRange]) -> None:
        """Fetches and stores the exchange's candles once more, although they are stored. Raises `DownloadError`."""
        native = require_native(timeframe)
        store_natives(self._store, fetch_candles(self._rest(), symbol, native, ranges))

    def fetch_minutes(self, symbol: str, ranges: Sequence[TimeRange]) -> list[OpenRequest]:
        """Returns the exchange's minutes in the given ranges; nothing is stored. Raises `DownloadError`."""
        return fetch_candles(self._rest(), symbol, ONE_MINUTE, ranges)

    def differing_minutes(
        self, symbol: str, requests: Sequence[OpenRequest], ranges: Sequence[TimeRange]
    ) -> list[DifferingMinutes]:
        """Returns the runs of minutes, within the given ranges, in which the stored candles differ from an answer."""
        answered = pa.concat_tables([request.candles() for request in requests])
        with self._store.reading() as session, session.tables(answered=answered):
            rows = session.run("comparison/minute_differences", symbol=symbol, **_lists(ranges))
        return [DifferingMinutes(TimeRange(start, end), *counts) for start, end, *counts in rows]

    def asked_at(self, symbol: str, native: Timeframe, ranges: Sequence[TimeRange]) -> dict[datetime, AskedAt]:
        """Returns by open time when the two sides of each candle were requested. A candle is given as its range."""
        with self._store.reading() as session:
            rows = session.run("comparison/evidence_times", symbol=symbol, timeframe=native.label, **_lists(ranges))
        return {open_time: AskedAt(*times) for open_time, *times in rows}

    def _ask(self, unasked: Ranges, native: Timeframe) -> None:
        """Fetches several symbols at the same time and stores each symbol's candles when they have arrived."""
        rest = self._rest()
        with ThreadPoolExecutor(self._symbols_at_once, thread_name_prefix="verify") as pool:
            answers = {
                symbol: pool.submit(fetch_candles, rest, symbol, native, ranges) for symbol, ranges in unasked.items()
            }
            for symbol, answer in answers.items():
                try:
                    store_natives(self._store, answer.result())
                except DownloadError as error:
                    if error.stops_run:
                        pool.shutdown(wait=False, cancel_futures=True)
                        raise
                    self.failed[symbol] = str(error)


def stored_candles(
    symbols: Sequence[str], start: datetime | None, end: datetime | None, timeframe: Timeframe
) -> Callable[[Session], Ranges]:
    """Returns a function that finds the range of candles to compare of each symbol; no symbols means all.

    No start means from the symbol's first candle. The function raises `UsageError` for a symbol that is not stored,
    and for a store without candles.
    """

    def find(session: Session) -> Ranges:
        firsts = dict(session.run("comparison/first_candles", symbols=list(symbols)))
        unknown = [symbol for symbol in symbols if symbol not in firsts]
        if unknown:
            raise not_stored(unknown, [row[0] for row in session.run("read/symbol_spans")])
        if not firsts:
            raise UsageError("The store holds no candles that could be verified. Run: threadx ingest SYMBOL")
        return {
            symbol: [TimeRange(start or first - timeframe.step + MINUTE, end or datetime.max - timeframe.step)]
            for symbol, first in firsts.items()
        }

    return find


def require_native(timeframe: Timeframe) -> Timeframe:
    """Returns the exchange's own timeframe to compare with. Raises `UsageError` if there is none."""
    native = native_timeframe(timeframe)
    if native is None:
        raise UsageError(
            f"The exchange publishes nothing to compare {timeframe.label} with but the minutes themselves. "
            "Ask for these again with: threadx ingest --refresh; what differs goes to revisions."
        )
    return native


def _verifiable(session: Session, wanted: Ranges, timeframe: Timeframe, native: Timeframe) -> tuple[Ranges, Ranges]:
    """Returns the ranges that can be compared, and those whose candles have to be fetched from the exchange first."""
    flat = [(symbol, span) for symbol, spans in wanted.items() for span in spans]
    rows = session.run(
        "comparison/verifiable_ranges",
        symbols=[symbol for symbol, _ in flat],
        **_lists([span for _, span in flat]),
        timeframe=native.label,
        width=timeframe.width,
        grid=grid_of(timeframe),
    )
    asked: Ranges = {}
    unasked: Ranges = {}
    for symbol, start, end, is_asked in rows:
        (asked if is_asked else unasked).setdefault(symbol, []).append(TimeRange(start, end))
    return asked, unasked


def _compare(
    session: Session, wanted: Ranges, asked: Ranges, timeframe: Timeframe, native: Timeframe
) -> dict[str, Comparison]:
    return {
        symbol: _compare_symbol(session, symbol, asked.get(symbol, []), timeframe, native)._replace(
            uncompared=_count_uncompared(
                session, symbol, subtract_ranges(spans, asked.get(symbol, [])), timeframe, native
            )
        )
        for symbol, spans in wanted.items()
    }


def _count_uncompared(
    session: Session, symbol: str, spans: Sequence[TimeRange], timeframe: Timeframe, native: Timeframe
) -> int:
    """Returns how many closed candles with stored minutes open in ranges that cannot be compared."""
    if not spans:
        return 0
    rows = session.run(
        "comparison/uncompared_candles",
        symbol=symbol,
        width=timeframe.width,
        grid_offset=_grid_offset(session, symbol, native),
        **_lists(spans),
    )
    return int(rows[0][0])


def _compare_symbol(
    session: Session, symbol: str, spans: Sequence[TimeRange], timeframe: Timeframe, native: Timeframe
) -> Comparison:
    if not spans:
        return Comparison(0, [])
    rows = session.run(
        "comparison/native_differences",
        symbol=symbol,
        timeframe=native.label,
        width=timeframe.width,
        grid_offset=_grid_offset(session, symbol, native),
        **_lists(spans),
    )
    found = [
        Mismatch(symbol, open_time, name, typed(name, ours), typed(name, theirs), is_complete)
        for _, open_time, name, ours, theirs, is_complete in rows
        if open_time is not None
    ]
    return Comparison(rows[0][0], found)


def _grid_offset(session: Session, symbol: str, native: Timeframe) -> timedelta:
    if not has_own_grid(native):
        return timedelta()
    rows = session.run("comparison/native_offset", symbol=symbol, timeframe=native.label, width=native.width)
    return rows[0][0] if rows else timedelta()


def _lists(ranges: Sequence[TimeRange]) -> dict[str, Any]:
    """Returns ranges as the parallel lists and the bounds that the SQL statements take."""
    starts, ends = [span.start for span in ranges], [span.end for span in ranges]
    return {"starts": starts, "ends": ends, "first": min(starts), "last": max(ends)}
