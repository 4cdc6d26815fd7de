"""Plans a run's requests for each symbol: the wanted range without the minutes that are stored or covered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from threadx_duck.candles.ranges import EVER, TimeRange, intersect_ranges
from threadx_duck.candles.times import DAY, EPOCH, MINUTE, floor_minute, format_time, utc_now
from threadx_duck.config import Settings
from threadx_duck.download.plan import SOURCES, Costs, Planner, SourceChoice, SymbolPlan
from threadx_duck.errors import UsageError
from threadx_duck.exchange.markets import FIRST_MINUTE, LATE_CANDLES
from threadx_duck.texts.symbols import nothing_stored, read_symbols

if TYPE_CHECKING:
    from threadx_duck.archive.names import ArchiveFile
    from threadx_duck.download.fetch import Sources
    from threadx_duck.storage.session import Session
    from threadx_duck.storage.store import Store

# An end this long ago is past on any clock that is roughly right. For a later end, the exchange's clock is asked.
_SURELY_PAST = timedelta(days=1)


class Demand:
    """Finds the missing minutes, and plans how to request them.

    ``open_sources`` connects to the exchange; it is not called if everything is covered already. ``listed`` returns
    the symbols of the exchange that are known without a request.
    """

    def __init__(
        self, store: Store, settings: Settings, open_sources: Callable[[], Sources], listed: Callable[[], Iterable[str]]
    ) -> None:
        self._store = store
        self._listed = listed
        self._settings = settings
        self._open_sources = open_sources

    def stored_spans(self) -> dict[str, TimeRange]:
        """Returns the range from the first to the last stored minute of each symbol. Raises `StoreError`."""
        if not self._store.exists:
            return {}
        with self._store.reading() as session:
            return stored_spans(session)

    def clock(self, source: SourceChoice) -> datetime:
        """Returns the time by the clock of a source that the choice allows, naive UTC. Raises `DownloadError`."""
        return self._exchange_time(self._planner(source))

    def plan(
        self,
        source: SourceChoice,
        symbols: Sequence[str],
        start: datetime | None,
        end: datetime | None,
        *,
        refresh: bool,
    ) -> tuple[Planner, list[SymbolPlan]]:
        """Returns the planner, with the clock and the kept files that were found, and the plan of each symbol.

        No symbols means every stored symbol. No start means from the last stored minute, or from the listing; no
        end means to the last closed minute. ``refresh`` also requests minutes that are covered. A symbol in BREAK
        is skipped for a day only if neither a start nor an end is given. Raises `UsageError`, `StoreError`, and
        `DownloadError` if the exchange cannot tell the time.
        """
        planner = self._planner(source)
        spans = self.stored_spans()
        chosen = read_symbols(symbols, lambda: {*spans, *self._listed()}) or sorted(spans)
        if not chosen:
            raise nothing_stored(self._store.name)
        last, clock = self._last_minute(end, planner)
        if start is not None and start >= last:
            raise UsageError(
                f"The range begins at {format_time(start)}, but by the exchange's clock the last minute that is over "
                f"ended at {format_time(last)}."
            )
        wanted = {symbol: _wanted(spans.get(symbol), start, last) for symbol in chosen}
        missing = {symbol: [span] for symbol, span in wanted.items() if span.start < span.end}
        if missing and spans and not refresh:
            with self._store.reading() as session:
                missing = _missing(session, missing)
                if start is None and end is None:
                    missing = _due(session, missing, clock)
        planner = replace(planner, clock=clock, kept=self._kept(planner, missing))
        return planner, [_plan_symbol(planner, symbol, missing.get(symbol, []), spans.get(symbol)) for symbol in chosen]

    def _planner(self, source: SourceChoice) -> Planner:
        """Returns the planner for a choice of sources, with this machine's clock and no kept files yet."""
        if source not in SOURCES:
            raise UsageError(f"There is no source {source!r}. The sources are {', '.join(SOURCES)}.")
        if source == "archive" and not self._settings.archive.enabled:
            raise UsageError("The archive is switched off: [data.archive] enabled is false.")
        if source == "auto" and not self._settings.archive.enabled:
            source = "rest"
        api = self._settings.api
        share = api.rate_limit_window / api.rate_limit_calls
        return Planner(utc_now(), SOURCES[source], replace(Costs(), rest_call=max(Costs.rest_call, share)))

    def _kept(self, planner: Planner, symbols: Iterable[str]) -> frozenset[ArchiveFile]:
        if not self._settings.archive.keep_files or planner.sources == SOURCES["rest"]:
            return frozenset()
        return frozenset().union(*(self._open_sources().archive.kept(symbol) for symbol in symbols))

    def _last_minute(self, end: datetime | None, planner: Planner) -> tuple[datetime, datetime]:
        """Returns the wanted end and the exchange's clock. The end is at most that of the last closed minute."""
        if end is not None and end <= utc_now() - _SURELY_PAST:
            return end, planner.clock
        clock = self._exchange_time(planner)
        now = floor_minute(clock)
        return (now if end is None else min(end, now)), clock

    def _exchange_time(self, planner: Planner) -> datetime:
        sources = self._open_sources()
        return (sources.rest if "rest" in planner.sources else sources.archive).server_time()


def stored_spans(session: Session) -> dict[str, TimeRange]:
    """Returns the range from the first to the last stored minute of each symbol."""
    return {symbol: TimeRange(first, last + MINUTE) for symbol, first, last in session.run("read/symbol_spans")}


def _missing(session: Session, wanted: dict[str, list[TimeRange]]) -> dict[str, list[TimeRange]]:
    """Returns the ranges that are neither covered by a conclusive request nor stored."""
    uncovered = _ranges(session.run("missing/uncovered_ranges", **_columns(wanted)))
    if not uncovered:
        return {}
    columns = _columns(uncovered)
    bounds = {"first": min(columns["starts"]), "last": max(columns["ends"])}
    return _ranges(session.run("missing/absent_ranges", **columns, **bounds))


def _due(session: Session, missing: dict[str, list[TimeRange]], clock: datetime) -> dict[str, list[TimeRange]]:
    """Returns the missing ranges, without the last ones of a symbol in BREAK that was requested within a day.

    Such a request counts only if it was conclusive up to about the time at which it was made. Only for a run without
    a start and an end: a range that the user gives is always requested.
    """
    if not missing:
        return missing
    asked = dict(session.run("missing/symbols_in_break", since=clock - DAY, late=LATE_CANDLES + MINUTE))
    return {
        symbol: [span for span in spans if symbol not in asked or span.start < asked[symbol]]
        for symbol, spans in missing.items()
    }


def _wanted(span: TimeRange | None, start: datetime | None, end: datetime) -> TimeRange:
    if start is None:
        start = EPOCH if span is None else span.end
    # The exchange has no older candles, and no request could prove their absence.
    return TimeRange(max(start, EPOCH), end)


def _plan_symbol(planner: Planner, symbol: str, missing: list[TimeRange], span: TimeRange | None) -> SymbolPlan:
    find_listing = bool(missing) and _may_be_unlisted(span, missing[0])
    if find_listing:
        # Once the first candle is known, every minute before it is known to be absent.
        missing = intersect_ranges(missing, [TimeRange(FIRST_MINUTE, EVER.end)]) or missing
    return planner.plan(symbol, missing, find_listing=find_listing)


def _may_be_unlisted(span: TimeRange | None, first: TimeRange) -> bool:
    """Whether a symbol may have been listed only after the start of its first missing range."""
    return span is None or span.start >= first.start


def _ranges(rows: Iterable[tuple[str, datetime, datetime]]) -> dict[str, list[TimeRange]]:
    ranges: dict[str, list[TimeRange]] = {}
    for symbol, start, end in rows:
        ranges.setdefault(symbol, []).append(TimeRange(start, end))
    return ranges


def _columns(ranges: dict[str, list[TimeRange]]) -> dict[str, list[Any]]:
    """Returns ranges by symbol as the three parallel lists that the SQL statements take."""
    flat: Iterable[tuple[str, TimeRange]] = [(symbol, span) for symbol, spans in ranges.items() for span in spans]
    return {
        "symbols": [symbol for symbol, _ in flat],
        "starts": [span.start for _, span in flat],
        "ends": [span.end for _, span in flat],
    }
