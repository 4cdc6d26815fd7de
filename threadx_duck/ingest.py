"""The ingestion manager, which is the Python interface: downloads candles into the store and reads them."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from threadx_duck.candles.ranges import TimeRange
from threadx_duck.candles.timeframes import ONE_MINUTE, Timeframe, parse_timeframe
from threadx_duck.candles.times import TimeLike, parse_end, parse_range, parse_start
from threadx_duck.config import Settings, get_settings
from threadx_duck.config.logs import ensure_logs
from threadx_duck.download.missing import Demand, stored_spans
from threadx_duck.download.plan import Planner, SourceChoice, SymbolPlan
from threadx_duck.download.results import Progress, SymbolResult
from threadx_duck.errors import DownloadError, UnknownSymbolError
from threadx_duck.storage.store import Store, stored_among
from threadx_duck.texts.symbols import not_stored, offer, read_symbols
from threadx_duck.texts.urls import without_user
from threadx_duck.upkeep.publish import published_after

if TYPE_CHECKING:
    import pyarrow as pa

    from threadx_duck.audit.checks import Finding
    from threadx_duck.audit.comparison import Comparer
    from threadx_duck.audit.coverage import Step
    from threadx_duck.audit.verification import Verification
    from threadx_duck.download.fetch import KnownNames, Sources
    from threadx_duck.exchange.markets import ExchangeSymbol
    from threadx_duck.exchange.symbols import SymbolCache, SymbolList
    from threadx_duck.files.exporter import ExportedFile
    from threadx_duck.files.formats import Format
    from threadx_duck.files.importer import ImportResult


class IngestionManager:
    """Downloads candles into the store and reads them from it.

    Use it as a context manager, or call `close`: it keeps connections to the exchange open, but never the store.
    ``progress`` receives the progress of downloads.
    """

    def __init__(self, settings: Settings | None = None, *, progress: Progress | None = None) -> None:
        self.settings = settings or get_settings()
        ensure_logs(self.settings.logging)
        self._progress = progress or Progress()
        self.store = Store(self.settings.store, on_wait=self._progress.note)
        self._stop = threading.Event()
        self._is_downloading = False
        self._sources: Sources | None = None
        self._demand = Demand(self.store, self.settings, self._open_sources, self._listed)
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
            self._sources.rest.close()
            self._sources.archive.close()
            self._sources = None

    def stop(self) -> bool:
        """Ends a running download after the current batch. Any thread may call it.

        Returns True if a download is running. The results of its unfinished symbols say that the run was stopped.
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
        """Makes a range conclusive for several symbols: requests only what no conclusive request covers.

        Without symbols, takes every stored symbol. Without a start, the range begins at the last stored minute or
        the listing; without an end, it ends at the last closed minute. Times such as ``yesterday``, ``30d`` and ``12h``
        count back from the exchange's clock. ``source`` is ``rest``, ``archive``, or ``auto`` for the cheaper of both
        for each part. ``refresh`` also requests what is covered; ``dry_run`` only plans, and asks for nothing but the
        clock and the listing of new symbols. An error of one symbol is reported in its result and does not stop the
        others. Raises `UsageError` for invalid arguments, `DownloadError` if the exchange's clock cannot be read,
        `StoreError` if the store cannot be used; what was committed before stays.

        Each result counts the candles of ``target_timeframes``. If ``[data.processing] resample_validation`` is set,
        they are also compared with the exchange's own where this run changed minutes.
        """
        self._stop.clear()
        timeframes = [parse_timeframe(label) for label in dict.fromkeys(target_timeframes)]
        # Not cleared when the download begins, because a stop during the planning must count.
        self._stop.clear()
        if not dry_run:
            self.store.upgrade_first()
        start, end = parse_range(start_date, end_date, lambda: self._demand.clock(source))
        planner, plans = self._demand.plan(source, symbols, start, end, refresh=refresh)
        self.results = {
            plan.symbol: SymbolResult(plan.symbol, "planned" if dry_run and plan.requests else "up_to_date", plan=plan)
            for plan in plans
        }
        due = [plan for plan in plans if plan.requests]
        if dry_run:
            self._foresee([plan for plan in due if plan.find_listing], planner)
        else:
            with published_after(self.store, self.settings.store, self._progress.note):
                if due:
                    self._download(due, planner, recheck=refresh)
                if timeframes and self.store.exists and not self._stop.is_set():
                    self._validate(timeframes, TimeRange.of(start, end))
        return self.results

    def download_ohlcv_1m(
        self, symbol: str, start_date: TimeLike | None = None, end_date: TimeLike | None = None
    ) -> pa.Table:
        """Makes a range of one symbol conclusive, then reads its 1-minute candles.

        Returns the columns of `threadx_duck.candles.klines.CANDLE_SCHEMA`. Raises `DownloadError` with the reason;
        what was committed before stays.
        """
        return self.candles(symbol, "1m", *self._download_one(symbol, start_date, end_date))

    def resample_from_1m_api(
        self, symbol: str, timeframe: str, start_date: TimeLike | None = None, end_date: TimeLike | None = None
    ) -> pa.Table:
        """Makes a range of one symbol conclusive, then reads its derived candles that open in it.

        Returns the columns of the candle views. Raises the errors of `download_ohlcv_1m`.
        """
        parse_timeframe(timeframe)
        return self.candles(symbol, timeframe, *self._download_one(symbol, start_date, end_date))

    def verify_resample_consistency(self, candles: Any, derived: Any, timeframe: str) -> bool:
        """Returns True if derived candles equal those computed from 1-minute candles by the rule of the views.

        Prices must be equal, sums may differ by ``1e-9 + 1e-12`` of their value, and no candle may be missing or
        surplus. A candle that reaches beyond the given minutes cannot be computed and is not compared. Both tables
        may be any object that exports the Arrow stream interface. Uses neither store nor network.
        """
        from threadx_duck.candles.klines import read_candles
        from threadx_duck.storage.store import scratch

        width = parse_timeframe(timeframe).width
        with scratch(read_candles(candles)) as session, session.tables(given=read_candles(derived)):
            return bool(session.run("scratch/resample_differences", width=width)[0][0] == 0)

    def candles(
        self,
        symbol: str,
        timeframe: str = "1m",
        start_date: TimeLike | None = None,
        end_date: TimeLike | None = None,
        *,
        fill: bool = False,
    ) -> pa.Table:
        """Returns the stored candles of a timeframe that open in a range; derived, if it is not 1m.

        ``fill`` fills gaps of up to ``[data.processing] max_gap_fill_hours`` with flat candles at the last close;
        the column ``filled_minutes`` counts them. Reads only. Raises `UsageError` if the symbol is not stored.
        """
        chosen = parse_timeframe(timeframe)
        (symbol,) = self.store.named([symbol])
        span = TimeRange.of(*parse_range(start_date, end_date))
        parameters: dict[str, Any] = {"symbol": symbol, "start": span.start, "end": span.end}
        name = "read/candles_1m"
        if fill:
            name = "read/candles_filled"
            parameters["max_gap"] = timedelta(hours=self.settings.processing.max_gap_fill_hours)
        elif chosen is not ONE_MINUTE:
            name = "read/candles"
        if name != "read/candles_1m":
            parameters["width"] = chosen.width
        with self.store.reading() as session:
            table = session.query(name, **parameters)
            if not table.num_rows and symbol not in (spans := stored_spans(session)):
                raise not_stored([symbol], spans)
        return table

    def overview(self) -> pa.Table:
        """Returns per stored symbol the first and last candle, how many, how complete, and the gaps. Reads only.

        The columns are those of ``sql/read/symbol_overview.sql``.
        """
        from threadx_duck.audit.coverage import read_overview

        return read_overview(self.store)

    def coverage_map(self, start_date: TimeLike, end_date: TimeLike, step: Step = "month") -> pa.Table:
        """Returns how complete each stored symbol is in each month or day of a range, and why. Reads only.

        The columns are those of ``sql/read/coverage_cells.sql``.
        """
        from threadx_duck.audit.coverage import map_coverage

        return map_coverage(self.store, TimeRange(parse_start(start_date), parse_end(end_date)), step)

    def gaps(
        self, symbols: Sequence[str] = (), start_date: TimeLike | None = None, end_date: TimeLike | None = None
    ) -> pa.Table:
        """Returns the absent minutes of some or all symbols, as runs with one reason, cut to a range. Reads only.

        The columns are those of the view ``gaps``. Raises `UsageError` for a symbol that is not stored.
        """
        span = TimeRange.of(*parse_range(start_date, end_date))
        with self.store.reading() as session:
            chosen = stored_among(session, symbols)
            return session.query("read/gaps", symbols=chosen, start=span.start, end=span.end)

    def status(self, symbols: Sequence[str] = ()) -> pa.Table:
        """Returns the numbers of candles, missing and unproven minutes of some or all symbols. Reads only.

        The columns are those of ``sql/read/status.sql``. Raises `UsageError` for a symbol that is not stored.
        """
        with self.store.reading() as session:
            return session.query("read/status", symbols=stored_among(session, symbols))

    def check(self, symbols: Sequence[str] = (), folder: str | Path | None = None) -> list[Finding]:
        """Runs every consistency check, and the SQL files of a folder, on some or all symbols. Reads only.

        Raises `UsageError` for a symbol that is not stored or a folder without checks, and `StoreError`.
        """
        from threadx_duck.audit.checks import run_checks

        return run_checks(self.store, symbols, None if folder is None else Path(folder))

    def exchange_symbols(self, symbol: str | None = None) -> list[ExchangeSymbol]:
        """Returns the symbols that the exchange lists; only ``symbol``, if that is given.

        Raises `UnknownSymbolError` with the nearest name if there is no such symbol. Do not call it while a run is
        being stopped: it resets the stop.
        """
        self._stop.clear()
        rest = self._open_sources().rest
        if symbol is None:
            return rest.fetch_symbols()
        (name,) = read_symbols([symbol], self._listed)
        try:
            return rest.fetch_symbols(name)
        except UnknownSymbolError as error:
            raise UnknownSymbolError(f"{error}{offer(name, self._names().names)}") from error

    def verify(
        self,
        symbols: Sequence[str] = (),
        timeframe: str = "1h",
        start_date: TimeLike | None = None,
        end_date: TimeLike | None = None,
        *,
        repair: bool = False,
    ) -> Verification:
        """Compares derived candles that open in a range with the exchange's own.

        Compares a closed candle if each of its minutes is stored, even by an import, or known to be absent;
        ``uncompared`` of the result counts the others. Requests the exchange's candles that are not stored yet.
        ``repair`` requests again what differs, on both sides. Without symbols, compares every stored symbol.
        Raises `UsageError`, `StoreError`, and `DownloadError` if the exchange refuses all requests.
        """
        from threadx_duck.audit.comparison import stored_candles
        from threadx_duck.audit.verification import verify_ranges

        symbols = self.store.named(symbols)

        width, (start, end) = parse_timeframe(timeframe), parse_range(start_date, end_date)
        self._stop.clear()
        self.store.upgrade_first()
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
        """Ingests files on disk with the same checks and evidence as a download.

        Reads zips and CSV of the archive; CSV, Parquet, feather and JSON of other programs; other stores. Only a zip
        that matches the ``.CHECKSUM`` beside it counts as the archive file of its name and is conclusive. ``symbol``
        is the symbol of files that do not name one; ``columns`` maps our column names to theirs, as in
        ``{"open_time": "date"}``. A file that cannot be used is reported and does not stop the others.
        """
        from threadx_duck.files.importer import Importer

        self.store.upgrade_first()
        importer = Importer(self.store, self.settings.store)
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

        ``form`` is ``parquet``, ``csv``, ``archive`` for the CSV format of the exchange, or ``freqtrade``. Without
        symbols, takes every stored symbol. Writes only what changed since the last export. Raises `UsageError` and
        `StoreError`.
        """
        from threadx_duck.files.exporter import Exporter, ExportRequest

        start, end = parse_range(start_date, end_date)
        widths = [parse_timeframe(label) for label in dict.fromkeys(timeframes)]
        listed = self._symbol_cache.read()
        assets = {entry.symbol: (entry.base, entry.quote) for entry in listed.symbols} if listed else {}
        request = ExportRequest(form, self.store.named(symbols), widths, start, end, partition, assets)
        return Exporter(self.store, Path(folder or self.settings.data.processed_data_path), request).run()

    def _listed(self) -> list[str]:
        """Returns the cached names of the exchange's symbols, of any age; an empty list if nothing is cached."""
        kept = self._symbol_cache.read()
        return [entry.symbol for entry in kept.symbols] if kept else []

    def _names(self) -> KnownNames:
        """Returns all names that a mistyped symbol may mean: stored symbols and the exchange's, requested if needed."""
        from threadx_duck.download.fetch import KnownNames

        asked: list[int] = []

        def ask() -> list[ExchangeSymbol]:
            asked.append(1)
            return self._open_sources().rest.fetch_symbols()

        try:
            listed = [entry.symbol for entry in self._symbol_cache.list(ask).symbols]
        except DownloadError:
            listed = []
        return KnownNames({*listed, *self.stored_symbols()}, len(asked))

    @property
    def _symbol_cache(self) -> SymbolCache:
        from threadx_duck.exchange.symbols import SymbolCache

        return SymbolCache(self.settings.data.base_data_path, without_user(self.settings.api.base_url))

    def list_symbols(self, *, refresh: bool = False) -> SymbolList:
        """Returns the exchange's symbols from a list at most one day old; ``refresh`` requests a new one now.

        If the exchange cannot be asked, returns an older list. Raises `DownloadError` if there is none.
        """
        return self._symbol_cache.list(lambda: self._open_sources().rest.fetch_symbols(), refresh=refresh)

    def stored_symbols(self) -> list[str]:
        """Returns the stored symbols, sorted by name; an empty list if there is no store. Raises `StoreError`."""
        return sorted(self._demand.stored_spans())

    def server_time(self) -> datetime:
        """Returns the time of the exchange's clock, naive UTC. Raises `DownloadError`."""
        return self._open_sources().rest.server_time()

    def _download_one(
        self, symbol: str, start_date: TimeLike | None, end_date: TimeLike | None
    ) -> tuple[datetime | None, datetime | None]:
        """Makes a range conclusive and returns it, so that it is read by the same clock."""
        start, end = parse_range(start_date, end_date, lambda: self._demand.clock("auto"))
        (result,) = self.update_assets_batch([symbol], start, end).values()
        if result.error is not None:
            raise DownloadError(result.error)
        return start, end

    def _open_sources(self) -> Sources:
        if self._sources is None:
            # Imported here, because a run that finds everything covered does not need these modules.
            from threadx_duck.archive.source import ArchiveSource
            from threadx_duck.download.fetch import Sources
            from threadx_duck.exchange.rest import RestSource
            from threadx_duck.exchange.waits import Waits

            waits = Waits()
            waits.hear = self._progress.waiting
            rest = RestSource(self.settings.api, self._stop, waits)
            archive = ArchiveSource(self.settings, self._stop, waits)
            rest.budget.say = self._progress.note
            self._sources = Sources(rest, archive, self._names)
        return self._sources

    def _validate(self, timeframes: Sequence[Timeframe], span: TimeRange) -> None:
        from threadx_duck.download.validate import validate_results

        comparer = self._comparer() if self.settings.processing.resample_validation else None
        validate_results(self.store, comparer, self.results, timeframes, span)

    def _comparer(self) -> Comparer:
        from threadx_duck.audit.comparison import Comparer

        return Comparer(self.store, lambda: self._open_sources().rest, self.settings.processing.default_batch_size)

    def _foresee(self, plans: list[SymbolPlan], planner: Planner) -> None:
        """Replaces the results of new symbols by their plans from the listing on."""
        from threadx_duck.download.foresee import foresee

        if plans:
            at_once = self.settings.processing.default_batch_size
            found = foresee(plans, planner, self._open_sources(), at_once, self._stop)
            self.results.update((result.symbol, result) for result in found)

    def _download(self, plans: list[SymbolPlan], planner: Planner, *, recheck: bool) -> None:
        from threadx_duck.download.run import Downloader

        at_once = self.settings.processing.default_batch_size
        downloader = Downloader(self.store, self._open_sources(), planner, at_once, self._stop, self._progress)
        self._is_downloading = True
        try:
            downloader.run(plans, recheck=recheck)
        finally:
            self._is_downloading = False
            self.results.update(downloader.results)
