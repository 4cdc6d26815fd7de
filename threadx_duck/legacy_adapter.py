"""Candles directly from the exchange, without a store: downloads them, finds gaps and fills short ones."""

from __future__ import annotations

import logging
import threading
import time
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from threadx_duck.candles.arrays import empty
from threadx_duck.candles.klines import CANDLE_SCHEMA, read_candles
from threadx_duck.candles.ranges import TimeRange
from threadx_duck.candles.timeframes import ONE_MINUTE
from threadx_duck.candles.times import MINUTE, TimeLike, floor_minute, format_time, parse_range
from threadx_duck.config import Settings, get_settings
from threadx_duck.config.logs import ensure_logs
from threadx_duck.errors import DownloadError, UnknownSymbolError, UsageError
from threadx_duck.exchange.rest import REQUESTS_IN_FLIGHT, RestSource
from threadx_duck.storage.store import scratch
from threadx_duck.texts.symbols import offer, plain

logger = logging.getLogger("threadx_duck.legacy_adapter")


class LegacyAdapter:
    """The exchange's candles as Arrow tables.

    Use it as a context manager, or call `close`. Tables have the columns of
    `threadx_duck.candles.klines.CANDLE_SCHEMA`; arguments may be any object that exports the Arrow stream interface.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or get_settings()
        ensure_logs(self.settings.logging)
        self._stop = threading.Event()
        self._source: RestSource | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections to the exchange."""
        if self._source is not None:
            self._source.close()
            self._source = None

    def fetch_klines_1m(
        self, symbol: str, start_date: TimeLike | None = None, end_date: TimeLike | None = None
    ) -> pa.Table:
        """Downloads by REST, and returns, the closed 1-minute candles that open in a range.

        ``btc/usdc`` is read as ``BTCUSDC``. Without a start, the range begins at the symbol's first candle; without
        an end, or with an end in the future, it ends at the last closed minute. Rows that are not candles are left
        out, and their number is logged. Raises `UsageError` for an invalid range, `DownloadError` if the exchange
        gives no usable answer.
        """
        symbol = plain(symbol)
        start, end = parse_range(start_date, end_date)
        if self._source is None:
            self._source = RestSource(self.settings.api, self._stop)
        try:
            return _fetch(self._source, symbol, start, end)
        except UnknownSymbolError as error:
            raise UnknownSymbolError(f"{error}{offer(symbol, _names(self._source))}") from error

    def detect_gaps_1m(self, candles: Any) -> pa.Table:
        """Returns the runs of absent minutes between the first and the last candle of each symbol.

        The columns are ``symbol``, ``gap_start``, ``gap_end`` (exclusive, UTC) and ``missing`` minutes; the rows are
        sorted by symbol and time. Raises `UsageError` if ``candles`` is not a table of candles.
        """
        with scratch(read_candles(candles)) as session:
            return session.query("scratch/detect_gaps")

    def fill_gaps_conservative(self, candles: Any, gaps: Any | None = None) -> pa.Table:
        """Returns the candles with short gaps filled: flat at the previous close, no volume, no trades.

        Fills the given gaps, or all gaps if ``gaps`` is None, but none longer than ``[data.processing]
        max_gap_fill_hours``. Adds the column ``is_filled``. The rule is that of the SQL macro ``candles_filled``.
        Raises `UsageError` if ``candles`` is not a table of candles, or ``gaps`` not one of gaps.
        """
        table = read_candles(candles)
        chosen = self.detect_gaps_1m(table) if gaps is None else _read_gaps(gaps)
        limit = timedelta(hours=self.settings.processing.max_gap_fill_hours)
        with scratch(table) as session, session.tables(chosen_gaps=chosen):
            return session.query("scratch/fill_gaps", max_gap=limit)


def _read_gaps(gaps: Any) -> pa.Table:
    try:
        table = pa.table(gaps)
        columns = [table[name] for name in ("gap_start", "gap_end")]
        symbols = (
            table["symbol"].cast(pa.string()) if "symbol" in table.column_names else pa.nulls(len(table), pa.string())
        )
        times = [column.cast(pa.timestamp("us")) for column in columns]
    except (TypeError, KeyError, pa.ArrowException) as error:
        raise UsageError("Gaps are a table with gap_start and gap_end, as detect_gaps_1m returns.") from error
    return pa.table([symbols, *times], names=["symbol", "gap_start", "gap_end"])


def _fetch(source: RestSource, symbol: str, start: datetime | None, end: datetime | None) -> pa.Table:
    """Returns the closed candles of a range; without a start from the first candle, without an end to the last."""
    began = time.monotonic()
    now = floor_minute(source.server_time())
    last = now if end is None else min(end, now)
    pages = []
    if start is None:
        first = source.fetch_first(symbol)
        if first is None:
            return empty(CANDLE_SCHEMA)
        start = first.range_end - MINUTE
    if start < last:
        pages = list(source.fetch_range(symbol, ONE_MINUTE, TimeRange(start, last), REQUESTS_IN_FLIGHT))
    rejected = sum(page.rejected.num_rows for page in pages)
    table = pa.concat_tables([empty(CANDLE_SCHEMA), *(page.candles for page in pages)])
    logger.info(
        "%s %s to %s: %s candles, %s rows rejected, %s requests, %.1f s",
        symbol,
        format_time(start),
        format_time(last),
        table.num_rows,
        rejected,
        sum(len(page.bodies) for page in pages),
        time.monotonic() - began,
    )
    return table


def _names(source: RestSource) -> list[str]:
    """Returns the names of the exchange's symbols; an empty list if the exchange does not answer."""
    try:
        return [entry.symbol for entry in source.fetch_symbols()]
    except DownloadError:
        return []
