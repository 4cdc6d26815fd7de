"""Writes exported candles: one writer per format, each of which takes tables of candles in time order."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.feather as feather
import pyarrow.parquet as pq
from pyarrow import csv

from threadx_duck.candles.timeframes import Timeframe
from threadx_duck.candles.times import MINUTE
from threadx_duck.errors import UsageError

Format = Literal["parquet", "csv", "archive", "freqtrade"]
Writer = Callable[[Path, Iterable[pa.Table], Timeframe], int]

# The size of DuckDB's row groups, each of which is read in one piece.
_ROW_GROUP = 122_880

# Spot files of the archive hold microseconds from 2025 on, milliseconds before (binance-public-data, README).
_MICROSECONDS_SINCE = datetime(2025, 1, 1)

# The characters that separate values and lines of CSV.
_STRUCTURE = set('",\r\n')

# Longer names come first: BTCFDUSD is not quoted in USD.
_QUOTES = ("FDUSD", "USDC", "USDT", "TUSD", "BUSD", "USDP", "DAI", "EUR", "GBP", "TRY", "BRL", "JPY", "ARS", "MXN",
           "PLN", "RON", "UAH", "ZAR", "CZK", "COP", "BIDR", "IDR", "AUD", "RUB", "NGN", "BTC", "ETH", "BNB", "XRP",
           "DOGE", "SOL", "USD")  # fmt: skip


def file_name(symbol: str, timeframe: str, ending: str) -> str:
    """Returns a name such as ``BTCUSDC-1h.parquet``. It never leads to another folder, whatever the symbol contains."""
    return f"{quote(symbol, safe='')}-{timeframe}{ending}"


def freqtrade_name(symbol: str, timeframe: str, assets: tuple[str, str] | None) -> str:
    """Returns freqtrade's file name of a pair, such as ``BTC_USDC-1h.feather``.

    ``assets`` are the base and the quote asset, if known. The name never leads to another folder, whatever
    characters the assets contain.
    """
    base, quoted = (quote(asset, safe="") for asset in assets or _split(symbol))
    return f"{base}_{quoted}-{'1Mo' if timeframe == '1mo' else timeframe}.feather"


def write_parquet(path: Path, tables: Iterable[pa.Table], _: Timeframe) -> int:
    """Writes all columns, compressed by zstd, in the given order. Returns the number of rows."""
    writer: pq.ParquetWriter | None = None
    rows = 0
    try:
        for table in tables:
            writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
            writer.write_table(table, row_group_size=_ROW_GROUP)
            rows += table.num_rows
    finally:
        if writer is not None:
            writer.close()
    return rows


def write_csv(path: Path, tables: Iterable[pa.Table], _: Timeframe) -> int:
    """Writes a header, then all columns, with times as text such as ``2024-01-01T00:00:00Z``. Returns the row count."""
    rows = 0
    with path.open("wb") as file:
        for table in tables:
            seconds = pc.cast(table["open_time"], pa.timestamp("s"))
            text = pc.strftime(seconds, format="%Y-%m-%dT%H:%M:%SZ")
            table = table.set_column(table.column_names.index("open_time"), "open_time", text)
            options = csv.WriteOptions(
                include_header=not file.tell(), quoting_style=_quoting(table), quoting_header="none"
            )
            csv.write_csv(table, file, options)
            rows += table.num_rows
    return rows


def write_archive_csv(path: Path, tables: Iterable[pa.Table], timeframe: Timeframe) -> int:
    """Writes the twelve columns of the exchange's bulk archive, without a header. Returns the number of rows."""
    rows = 0
    with path.open("wb") as file:
        for table in tables:
            options = csv.WriteOptions(include_header=False, quoting_style="none")
            csv.write_csv(_archive_columns(table, timeframe), file, options)
            rows += table.num_rows
    return rows


def write_freqtrade(path: Path, tables: Iterable[pa.Table], _: Timeframe) -> int:
    """Writes freqtrade's feather columns: ``date`` (milliseconds, UTC), prices, volume. Returns the row count."""
    table = pa.concat_tables(tables)
    date = table["open_time"].cast(pa.timestamp("ms")).cast(pa.timestamp("ms", "UTC"))
    values = {name: table[name] for name in ("open", "high", "low", "close", "volume")}
    feather.write_feather(pa.table({"date": date, **values}), str(path), compression="lz4")
    return int(table.num_rows)


WRITERS: dict[str, Writer] = {
    "parquet": write_parquet,
    "csv": write_csv,
    "archive": write_archive_csv,
    "freqtrade": write_freqtrade,
}


def _quoting(table: pa.Table) -> str:
    """Returns ``needed`` if a symbol cannot be written without quotes, else ``none``: usual files have no quotes."""
    symbols = pc.unique(table["symbol"]).to_pylist() if "symbol" in table.column_names else []
    return "needed" if any(set(symbol) & _STRUCTURE for symbol in symbols) else "none"


def _archive_columns(table: pa.Table, timeframe: Timeframe) -> pa.Table:
    micros = pc.cast(table["open_time"], pa.int64())
    if timeframe.minutes is None:
        ends = pc.cast(pc.ceil_temporal(table["open_time"], 1, "month", ceil_is_strictly_greater=True), pa.int64())
    else:
        ends = pc.add(micros, int(timeframe.minutes * MINUTE.total_seconds() * 1e6))
    is_micros = pc.greater_equal(table["open_time"], pa.scalar(_MICROSECONDS_SINCE, pa.timestamp("us")))

    def stamp(times: pa.ChunkedArray, less: int) -> pa.ChunkedArray:
        return pc.if_else(is_micros, pc.subtract(times, less), pc.subtract(pc.divide(times, 1000), less))

    def decimal(name: str) -> pa.ChunkedArray:
        return table[name].cast(pa.decimal128(38, 8)).cast(pa.string())

    return pa.table(
        [
            stamp(micros, 0),
            *map(decimal, ("open", "high", "low", "close", "volume")),
            stamp(ends, 1),
            decimal("quote_volume"),
            table["trade_count"],
            decimal("taker_buy_volume"),
            decimal("taker_buy_quote_volume"),
            pa.repeat(pa.scalar(0), table.num_rows),
        ],
        names=[str(number) for number in range(12)],
    )


def _split(symbol: str) -> tuple[str, str]:
    for asset in _QUOTES:
        if symbol.endswith(asset) and symbol != asset:
            return symbol.removesuffix(asset), asset
    raise UsageError(f"It is not known which part of {symbol} is the quote asset. Ask the exchange: threadx symbols")
