"""The ingestion manager: from what is wanted and what is stored to what has to be asked, and through it."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from threadx_duck.config import Settings, get_settings
from threadx_duck.errors import DownloadError, UsageError
from threadx_duck.exchange import FIRST_MINUTE
from threadx_duck.logs import ensure_logs
from threadx_duck.planning import SOURCES, Costs, Planner, SourceChoice, SymbolPlan
from threadx_duck.publishing import published_after
from threadx_duck.results import Progress, SymbolResult
from threadx_duck.store import Store
from threadx_duck.timeframes import ONE_MINUTE, Timeframe, parse_timeframe
from threadx_duck.times import (
    DAY,
    EPOCH,
    MINUTE,
    TimeLike,
    TimeRange,
    floor_minute,
    intersect_ranges,
    parse_end,
    parse_range,
    parse_start,
    utc_now,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from threadx_duck.archive_files import ArchiveFile
    from threadx_duck.comparison import Comparer
    from threadx_duck.exchange import ExchangeSymbol
    from threadx_duck.export_formats import Format
    from threadx_duck.exporting import ExportedFile
    from threadx_duck.fetching import Sources
    from threadx_duck.importing import ImportResult
    from threadx_duck.overview import Step
    from threadx_duck.symbols import SymbolCache, SymbolList
    from threadx_duck.verification import Verification

# An end this long ago is past on any clock that is set at all; a later one is asked of the exchange.
_SURELY_PAST = timedelta(days=1)

_FOREVER = datetime(9999, 1, 1)


class IngestionManager:
    """Downloads candles into the store and reads them from it.

    Use it as a context manager, or `close` it: it holds connections to the exchange, never the store.
    ``progress`` is told how downloads go on.
    """

    def __init__(self, settings: Settings | None = None, *, progress: Progress | None = None) -> None:
        self.settings = settings or get_settings()
        ensure_logs(self.settings.logging)
        self._progress = progress or Progress()
        self.store = Store(self.settings.store, on_wait=self._progress.note)
        self._stop = threading.Event()
        self._is_downloading = False
        self._sources: Sources | None = None
        self.results: dict[str, SymbolResult] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections to the exchange."""
        if self._sources is not None:
            for source in self._sources:
                source.close()
            self._sources = None

    def stop(self) -> bool:
        """Ends a running download after the batch in hand; may be called from any thread.

        Returns whether there is one. Its symbols report that the run was stopped.
        """
        self._stop.set()
        return self._is_downloading

    def update_assets_batch(
        self,
        symbols: Sequence[str] = (),
        start_date: TimeLike | None = None,
        end_date: TimeLike | None = None,
        *,
        source: SourceChoice = "auto",
        target_timeframes: Sequence[str] = (),
        refresh: bool = False,
        dry_run: bool = False,
    ) -> dict[str, SymbolResult]:
        """Makes a range conclusive for several symbols: asks what no conclusive request covers, nothing else.

        Without symbols, every stored one; without a start, from the last stored minute or the listing;
        without an end, to the last closed minute. ``source`` is ``auto`` for whichever of archive and REST
        is cheapest for each part, ``rest`` or ``archive`` for one of them. ``refresh`` asks again what is
        covered, ``dry_run`` only plans. A failing symbol is reported and does not stop the others. Raises
        `UsageError` for arguments that make no sense, `DownloadError` if the exchange cannot tell the time,
        `StoreError` if the store cannot be used; what was committed before stays.

        ``target_timeframes`` are counted in each result and, if ``[data.processing] resample_validation``
        is set, compared with the exchange's own where this run changed minutes.
        """
        self._stop.clear()
        timeframes = [parse_timeframe(label) for label in dict.fromkeys(target_timeframes)]
        # Here and not where the download begins: a stop that comes while planning must hold.
        self._stop.clear()
        planner, plans = self._plan(self._planner(source), symbols, start_date, end_date, refresh=refresh)
        self.results = {
            plan.symbol: SymbolResult(plan.symbol, "planned" if dry_run and plan.requests else "up_to_date", plan=plan)
            for plan in plans
        }
        due = [plan for plan in plans if plan.requests]
        if not dry_run:
            with published_after(self.store, self.settings.store, self._progress.note):
                if due:
                    self._download(due, planner, recheck=refresh)
                if timeframes and self.store.exists and not self._stop.is_set():
                    self._validate(timeframes, start_date, end_date)
        return self.results

    def download_ohlcv_1m(
        self, symbol: str, start_date: TimeLike | None = None, end_date: TimeLike | None = None
    ) -> pa.Table:
        """Makes a range of one symbol conclusive, then reads its 1-minute candles.

        Returns the columns of `threadx_duck.candles.CANDLE_SCHEMA`. Raises `DownloadError` with what went
        wrong; what was committed before stays.
        """
        self._download_one(symbol, start_date, end_date)
        return self.candles(symbol, "1m", start_date, end_date)

    def resample_from_1m_api(
        self, symbol: str, timeframe: str, start_date: TimeLike | None = None, end_date: TimeLike | None = None
    ) -> pa.Table:
        """Makes a range of one symbol conclusive, then reads its derived candles that open in it.

        Returns the columns of the candle views. Raises as `download_ohlcv_1m` does.
        """
        parse_timeframe(timeframe)
        self._download_one(symbol, start_date, end_date)
        return self.candles(symbol, timeframe, start_date, end_date)

    def verify_resample_consistency(self, candles: Any, derived: Any, timeframe: str) -> bool:
        """Whether derived candles are just what 1-minute candles give, recomputed by the rule of the views.

        Prices must be equal, sums within ``1e-9 + 1e-12`` of their value, no candle missing and none too
        many. A candle that reaches beyond the minutes given cannot be recomputed and is not judged. Both
        tables may be anything that exports the Arrow stream interface; reads neither store nor network.
        """
        from threadx_duck.candles import read_candles
        from threadx_duck.store import scratch

        width = parse_timeframe(timeframe).width
        with scratch(read_candles(candles)) as session, session.tables(given=read_candles(derived)):
            return bool(session.run("queries/resample_differences", width=width)[0][0] == 0)

    def candles(
        self,
        symbol: str,
        timeframe: str = "1m",
        start_date: TimeLike | None = None,
        end_date: TimeLike | None = None,
        *,
        fill: bool = False,
    ) -> pa.Table:
        """The stored candles of a timeframe that open in a range; derived, if it is not 1m.

        ``fill`` bridges gaps of up to ``[data.processing] max_gap_fill_hours`` with flat candles at the
        last close, counted in ``filled_minutes``. Reads only. Raises `UsageError` if the symbol is not stored.
        """
        chosen = parse_timeframe(timeframe)
        start, end = parse_range(start_date, end_date)
        parameters: dict[str, Any] = {"symbol": symbol, "start": start or EPOCH, "end": end or _FOREVER}
        name = "queries/candles_1m"
        if fill:
            name = "queries/candles_filled"
            parameters["max_gap"] = timedelta(hours=self.settings.processing.max_gap_fill_hours)
        elif chosen is not ONE_MINUTE:
            name = "queries/candles"
        if name != "queries/candles_1m":
            parameters["width"] = chosen.width
        with self.store.reading() as session:
            table = session.query(name, **parameters)
            if not table.num_rows and symbol not in _spans(session.run("queries/symbol_spans")):
                raise UsageError(f"No candles of {symbol} in {self.store.name}. Run: threadx ingest {symbol}")
        return table

    def overview(self) -> pa.Table:
        """What is stored of each symbol: first and last candle, how many, gaps, when last asked for. Reads only."""
        from threadx_duck.overview import read_overview

        return read_overview(self.store)

    def coverage_map(self, start_date: TimeLike, end_date: TimeLike, step: Step = "month") -> pa.Table:
        """How complete each stored symbol is in each month or day of a range, and why not. Reads only.

        Returns the columns of ``sql/queries/coverage_cells.sql``.
        """
        from threadx_duck.overview import map_coverage

        return map_coverage(self.store, TimeRange(parse_start(start_date), parse_end(end_date)), step)

    def gaps(
        self, symbols: Sequence[str] = (), start_date: TimeLike | None = None, end_date: TimeLike | None = None
    ) -> pa.Table:
        """The absent minutes of some or all symbols, as runs with one reason, clipped to a range. Reads only."""
        start, end = parse_range(start_date, end_date)
        return self.store.query("queries/gaps", symbols=list(symbols), start=start or EPOCH, end=end or _FOREVER)

    def exchange_symbols(self, symbol: str | None = None) -> list[ExchangeSymbol]:
        """The symbols that the exchange lists; or that one. Raises `UnknownSymbolError` if there is no such symbol.

        Not to be called while a run is being stopped.
        """
        self._stop.clear()
        return self._open_sources().rest.fetch_symbols(symbol)

    def verify(
        self,
        symbols: Sequence[str] = (),
        timeframe: str = "1h",
        start_date: TimeLike | None = None,
        end_date: TimeLike | None = None,
        *,
        repair: bool = False,
    ) -> Verification:
        """Compares derived candles that open in a range with the exchange's own, as far as ranges are conclusive.

        The exchange's candles are asked for where they are not stored yet; ``repair`` asks again for what
        differs, on both sides. Without symbols, every stored one. Raises `UsageError`, `StoreError`, and
        `DownloadError` if the exchange refuses all requests.
        """
        from threadx_duck.comparison import stored_candles
        from threadx_duck.verification import verify_ranges

        width, (start, end) = parse_timeframe(timeframe), parse_range(start_date, end_date)
        self._stop.clear()
        wanted = stored_candles(symbols, start, end, width)
        with published_after(self.store, self.settings.store, self._progress.note) if repair else nullcontext():
            return verify_ranges(self.store, self._comparer(), wanted, width, repair=repair)

    def import_files(
        self,
        paths: Sequence[str | Path],
        *,
        symbol: str | None = None,
        columns: Mapping[str, str] | None = None,
    ) -> dict[str, ImportResult]:
        """Ingests files lying on disk with the care and evidence of a download.

        Archive zips and CSV; CSV, Parquet, feather and JSON of other programs; other stores. A zip that
        agrees with the ``.CHECKSUM`` beside it is the archive file it is named as; nothing else is ever
        conclusive. ``symbol`` names the symbol of files that do not, ``columns`` their columns by ours, as
        in ``{"open_time": "date"}``. A file that cannot be used is reported and does not stop the others.
        """
        from threadx_duck.importing import Importer

        importer = Importer(self.store, self.settings.store, self._progress)
        return importer.run([Path(path) for path in paths], symbol, columns)

    def export(
        self,
        folder: str | Path | None = None,
        form: Format = "parquet",
        *,
        symbols: Sequence[str] = (),
        timeframes: Sequence[str] = ("1m",),
        start_date: TimeLike | None = None,
        end_date: TimeLike | None = None,
        partition: bool = False,
    ) -> list[ExportedFile]:
        """Writes the candles that open in a range to a folder, by default ``[data] processed_data_path``.

        ``form`` is ``parquet``, ``csv``, ``archive`` for the exchange's own CSV, or ``freqtrade``. Without
        symbols, every stored one. Only what changed since the last export is written. Raises `UsageError`,
        `StoreError`.
        """
        from threadx_duck.exporting import Exporter, ExportRequest

        start, end = parse_range(start_date, end_date)
        widths = [parse_timeframe(label) for label in dict.fromkeys(timeframes)]
        listed = self._symbol_cache.read()
        assets = {entry.symbol: (entry.base, entry.quote) for entry in listed.symbols} if listed else {}
        request = ExportRequest(form, symbols, widths, start, end, partition, assets)
        return Exporter(self.store, Path(folder or self.settings.data.processed_data_path), request).run()

    @property
    def _symbol_cache(self) -> SymbolCache:
        from threadx_duck.symbols import SymbolCache

        return SymbolCache(self.settings.data.base_data_path, self.settings.api.base_url)

    def list_symbols(self, *, refresh: bool = False) -> SymbolList:
        """The exchange's symbols, as it told them within the last day; ``refresh`` asks now.

        Raises `DownloadError` if the exchange cannot be asked and has not been before.
        """
        return self._symbol_cache.list(lambda: self._open_sources().rest.fetch_symbols(), refresh=refresh)

    def stored_symbols(self) -> list[str]:
        """The symbols that are stored, by name; none if there is no store yet. Raises `StoreError`."""
        return sorted(self._stored_spans())

    def server_time(self) -> datetime:
        """The exchange's clock, naive UTC. Raises `DownloadError`."""
        return self._open_sources().rest.server_time()

    def _planner(self, source: SourceChoice) -> Planner:
        """How to choose between sources, but for the clock."""
        if source not in SOURCES:
            raise UsageError(f"There is no source {source!r}. The sources are {', '.join(SOURCES)}.")
        if source == "archive" and not self.settings.archive.enabled:
            raise UsageError("The archive is switched off: [data.archive] enabled is false.")
        if source == "auto" and not self.settings.archive.enabled:
            source = "rest"
        api = self.settings.api
        share = api.rate_limit_window / api.rate_limit_calls
        return Planner(utc_now(), SOURCES[source], replace(Costs(), rest_call=max(Costs.rest_call, share)))

    def _download_one(self, symbol: str, start_date: TimeLike | None, end_date: TimeLike | None) -> None:
        result = self.update_assets_batch([symbol], start_date, end_date)[symbol]
        if result.error is not None:
            raise DownloadError(result.error)

    def _plan(
        self,
        planner: Planner,
        symbols: Sequence[str],
        start_date: TimeLike | None,
        end_date: TimeLike | None,
        *,
        refresh: bool,
    ) -> tuple[Planner, list[SymbolPlan]]:
        """What to ask for each symbol, and the planner with all that was found out for it."""
        start, end = parse_range(start_date, end_date)
        spans = self._stored_spans()
        chosen = list(dict.fromkeys(symbols)) or sorted(spans)
        if not chosen:
            raise UsageError(f"Nothing is stored in {self.store.name} yet. Name a symbol: threadx ingest BTCUSDC")
        last, clock = self._last_minute(end, planner)
        wanted = {symbol: self._wanted(spans.get(symbol), start, last) for symbol in chosen}
        missing = {symbol: [span] for symbol, span in wanted.items() if span.start < span.end}
        if missing and spans and not refresh:
            missing = self._due(self._missing(missing), clock)
        planner = replace(planner, clock=clock, kept=self._kept(planner, missing))
        return planner, [
            self._plan_symbol(planner, symbol, missing.get(symbol, []), spans.get(symbol)) for symbol in chosen
        ]

    @staticmethod
    def _plan_symbol(planner: Planner, symbol: str, missing: list[TimeRange], span: TimeRange | None) -> SymbolPlan:
        find_listing = bool(missing) and _may_be_unlisted(span, missing[0])
        if find_listing:
            # The first candle tells of everything before it.
            missing = intersect_ranges(missing, [TimeRange(FIRST_MINUTE, _FOREVER)]) or missing
        return planner.plan(symbol, missing, find_listing=find_listing)

    def _kept(self, planner: Planner, symbols: Iterable[str]) -> frozenset[ArchiveFile]:
        if not self.settings.archive.keep_files or planner.sources == SOURCES["rest"]:
            return frozenset()
        return frozenset().union(*(self._open_sources().archive.kept(symbol) for symbol in symbols))

    @staticmethod
    def _wanted(span: TimeRange | None, start: datetime | None, end: datetime) -> TimeRange:
        if start is None:
            start = EPOCH if span is None else span.end
        # The exchange has nothing older, and no request proves the absence of anything older.
        return TimeRange(max(start, EPOCH), end)

    def _stored_spans(self) -> dict[str, TimeRange]:
        if not self.store.exists:
            return {}
        with self.store.reading() as session:
            return _spans(session.run("queries/symbol_spans"))

    def _missing(self, wanted: dict[str, list[TimeRange]]) -> dict[str, list[TimeRange]]:
        """What is neither covered by a conclusive request nor stored: presence needs no proof."""
        with self.store.reading() as session:
            uncovered = _ranges(session.run("queries/uncovered_ranges", **_columns(wanted)))
            if not uncovered:
                return {}
            columns = _columns(uncovered)
            bounds = {"first": min(columns["starts"]), "last": max(columns["ends"])}
            return _ranges(session.run("queries/absent_ranges", **columns, **bounds))

    def _due(self, missing: dict[str, list[TimeRange]], clock: datetime) -> dict[str, list[TimeRange]]:
        """What is missing, but for the end of symbols in BREAK that were asked for within a day of the clock."""
        if not missing:
            return missing
        with self.store.reading() as session:
            asked = dict(session.run("queries/symbols_in_break", since=clock - DAY))
        return {
            symbol: [span for span in spans if symbol not in asked or span.start < asked[symbol]]
            for symbol, spans in missing.items()
        }

    def _last_minute(self, end: datetime | None, planner: Planner) -> tuple[datetime, datetime]:
        """The wanted end, at most that of the last minute closed by the exchange's clock; and that clock."""
        if end is not None and end <= utc_now() - _SURELY_PAST:
            return end, planner.clock
        sources = self._open_sources()
        clock = (sources.rest if "rest" in planner.sources else sources.archive).server_time()
        now = floor_minute(clock)
        return (now if end is None else min(end, now)), clock

    def _open_sources(self) -> Sources:
        if self._sources is None:
            # Imported where it is needed: what is covered already is found out without it.
            from threadx_duck.fetching import Sources
            from threadx_duck.sources.archive import ArchiveSource
            from threadx_duck.sources.rest import RestSource

            self._sources = Sources(RestSource(self.settings.api, self._stop), ArchiveSource(self.settings, self._stop))
        return self._sources

    def _validate(
        self, timeframes: Sequence[Timeframe], start_date: TimeLike | None, end_date: TimeLike | None
    ) -> None:
        from threadx_duck.validation import validate_results

        start, end = parse_range(start_date, end_date)
        comparer = self._comparer() if self.settings.processing.resample_validation else None
        validate_results(self.store, comparer, self.results, timeframes, TimeRange(start or EPOCH, end or _FOREVER))

    def _comparer(self) -> Comparer:
        from threadx_duck.comparison import Comparer

        return Comparer(self.store, lambda: self._open_sources().rest, self.settings.processing.default_batch_size)

    def _download(self, plans: list[SymbolPlan], planner: Planner, *, recheck: bool) -> None:
        from threadx_duck.download import Downloader

        at_once = self.settings.processing.default_batch_size
        downloader = Downloader(self.store, self._open_sources(), planner, at_once, self._stop, self._progress)
        self._is_downloading = True
        try:
            downloader.run(plans, recheck=recheck)
        finally:
            self._is_downloading = False
            self.results.update(downloader.results)


def _spans(rows: Iterable[tuple[str, datetime, datetime]]) -> dict[str, TimeRange]:
    return {symbol: TimeRange(first, last + MINUTE) for symbol, first, last in rows}


def _ranges(rows: Iterable[tuple[str, datetime, datetime]]) -> dict[str, list[TimeRange]]:
    ranges: dict[str, list[TimeRange]] = {}
    for symbol, start, end in rows:
        ranges.setdefault(symbol, []).append(TimeRange(start, end))
    return ranges


def _columns(ranges: dict[str, list[TimeRange]]) -> dict[str, list[Any]]:
    """Ranges by symbol as the three parallel lists that SQL takes."""
    flat: Iterable[tuple[str, TimeRange]] = [(symbol, span) for symbol, spans in ranges.items() for span in spans]
    return {
        "symbols": [symbol for symbol, _ in flat],
        "starts": [span.start for _, span in flat],
        "ends": [span.end for _, span in flat],
    }


def _may_be_unlisted(span: TimeRange | None, first: TimeRange) -> bool:
    """Whether a symbol may have been listed only after the start of its first missing range."""
    return span is None or span.start >= first.start
