"""The ingestion manager, the Python interface: downloads candles into the store and reads them from it."""

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
        if not dry_run:
            self.store.upgrade_first()
        planner, plans = self._demand.plan(source, symbols, *parse_range(start_date, end_date), refresh=refresh)
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

        Returns the columns of `threadx_duck.candles.klines.CANDLE_SCHEMA`. Raises `DownloadError` with what went
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
        """The stored candles of a timeframe that open in a range; derived, if it is not 1m.

        ``fill`` bridges gaps of up to ``[data.processing] max_gap_fill_hours`` with flat candles at the
        last close, counted in ``filled_minutes``. Reads only. Raises `UsageError` if the symbol is not stored.
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
        """What is stored of each symbol: first and last candle, how many, gaps, when last asked for. Reads only."""
        from threadx_duck.audit.coverage import read_overview

        return read_overview(self.store)

    def coverage_map(self, start_date: TimeLike, end_date: TimeLike, step: Step = "month") -> pa.Table:
        """How complete each stored symbol is in each month or day of a range, and why not. Reads only.

        Returns the columns of ``sql/read/coverage_cells.sql``.
        """
        from threadx_duck.audit.coverage import map_coverage

        return map_coverage(self.store, TimeRange(parse_start(start_date), parse_end(end_date)), step)

    def gaps(
        self, symbols: Sequence[str] = (), start_date: TimeLike | None = None, end_date: TimeLike | None = None
    ) -> pa.Table:
        """The absent minutes of some or all symbols, as runs with one reason, clipped to a range. Reads only.

        Returns the columns of the view ``gaps``. Raises `UsageError` for a symbol that is not stored.
        """
        span = TimeRange.of(*parse_range(start_date, end_date))
        with self.store.reading() as session:
            chosen = stored_among(session, symbols)
            return session.query("read/gaps", symbols=chosen, start=span.start, end=span.end)

    def status(self, symbols: Sequence[str] = ()) -> pa.Table:
        """What is stored of some or all symbols: how many candles, missing and unproven minutes. Reads only.

        Returns the columns of ``sql/read/status.sql``. Raises `UsageError` for a symbol that is not stored.
        """
        with self.store.reading() as session:
            return session.query("read/status", symbols=stored_among(session, symbols))

    def check(self, symbols: Sequence[str] = (), folder: str | Path | None = None) -> list[Finding]:
        """Runs every consistency check, and the SQL files of a folder, on some or all symbols. Reads only.

        Raises `UsageError` for a symbol that is not stored or a folder without checks, `StoreError`.
        """
        from threadx_duck.audit.checks import run_checks

        return run_checks(self.store, symbols, None if folder is None else Path(folder))

    def exchange_symbols(self, symbol: str | None = None) -> list[ExchangeSymbol]:
        """The symbols that the exchange lists; or that one.

        Raises `UnknownSymbolError` with the nearest name if there is no such symbol. Not to be called while a run is
        being stopped.
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

        Each closed candle is compared whose minutes are all stored, imported ones too, or known to be absent;
        the result's ``uncompared`` counts the others. The exchange's candles are asked for where they are not
        stored yet; ``repair`` asks again for what differs, on both sides. Without symbols, every stored one.
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
        """Ingests files lying on disk with the care and evidence of a download.

        Archive zips and CSV; CSV, Parquet, feather and JSON of other programs; other stores. A zip that
        agrees with the ``.CHECKSUM`` beside it is the archive file it is named as; nothing else is ever
        conclusive. ``symbol`` names the symbol of files that do not, ``columns`` their columns by ours, as
        in ``{"open_time": "date"}``. A file that cannot be used is reported and does not stop the others.
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

        ``form`` is ``parquet``, ``csv``, ``archive`` for the exchange's own CSV, or ``freqtrade``. Without
        symbols, every stored one. Only what changed since the last export is written. Raises `UsageError`,
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
        """The names of the exchange's symbols as it told them last, however long ago; none if it never was asked."""
        kept = self._symbol_cache.read()
        return [entry.symbol for entry in kept.symbols] if kept else []

    def _names(self) -> KnownNames:
        """All names that a mistyped symbol may stand for: stored ones, and the exchange's, asked for if need be."""
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
        """The exchange's symbols, as it told them within the last day; ``refresh`` asks now.

        Raises `DownloadError` if the exchange cannot be asked and has not been before.
        """
        return self._symbol_cache.list(lambda: self._open_sources().rest.fetch_symbols(), refresh=refresh)

    def stored_symbols(self) -> list[str]:
        """The symbols that are stored, by name; none if there is no store yet. Raises `StoreError`."""
        return sorted(self._demand.stored_spans())

    def server_time(self) -> datetime:
        """The exchange's clock, naive UTC. Raises `DownloadError`."""
        return self._open_sources().rest.server_time()

    def _download_one(self, symbol: str, start_date: TimeLike | None, end_date: TimeLike | None) -> None:
        (result,) = self.update_assets_batch([symbol], start_date, end_date).values()
        if result.error is not None:
            raise DownloadError(result.error)

    def _open_sources(self) -> Sources:
        if self._sources is None:
            # Imported where it is needed: what is covered already is found out without it.
            from threadx_duck.archive.source import ArchiveSource
            from threadx_duck.download.fetch import Sources
            from threadx_duck.exchange.rest import RestSource

            rest, archive = RestSource(self.settings.api, self._stop), ArchiveSource(self.settings, self._stop)
            rest.budget.say = self._progress.note
            self._sources = Sources(rest, archive, self._names)
        return self._sources

    def _validate(
        self, timeframes: Sequence[Timeframe], start_date: TimeLike | None, end_date: TimeLike | None
    ) -> None:
        from threadx_duck.download.validate import validate_results

        span = TimeRange.of(*parse_range(start_date, end_date))
        comparer = self._comparer() if self.settings.processing.resample_validation else None
        validate_results(self.store, comparer, self.results, timeframes, span)

    def _comparer(self) -> Comparer:
        from threadx_duck.audit.comparison import Comparer

        return Comparer(self.store, lambda: self._open_sources().rest, self.settings.processing.default_batch_size)

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
