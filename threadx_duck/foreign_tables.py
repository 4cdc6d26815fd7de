"""Reads candles that other programs wrote: CSV, Parquet, feather and JSON with columns of any name.

Known without being told: the columns of this project's exports, freqtrade's feather and JSON, the lists of
ccxt's ``fetch_ohlcv``, and the exchange's own rows of twelve.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.feather as feather
import pyarrow.parquet as pq
from pyarrow import csv

from threadx_duck.candles import CANDLE_SCHEMA, VALUE_FIELDS, Klines, read_kline_rows, split_klines
from threadx_duck.errors import BadResponseError, UsageError

REQUIRED = ("open_time", "open", "high", "low", "close", "volume")

# What others call the time, where no column is called open_time.
_TIMES = ("date", "timestamp")

# freqtrade's BTC_USDC-5m.feather and BTC_USDT_USDT-1h-futures.feather, this project's BTCUSDC-1h.parquet.
_NAME = re.compile(
    r"(?P<base>[^_/\\]+?)(_(?P<quote>[^_/\\-]+)(?P<settle>_[^/\\-]+)?)?"
    r"-(?P<timeframe>\d+(s|m|h|d|w|mo|Mo|M))(?P<kind>-(futures|mark|funding_rate|index|spot))?"
    r"(-\d{4}-\d{2}(-\d{2})?)?(\.\w+)+",
    re.ASCII,
)

# Seconds, milliseconds, microseconds and nanoseconds since 1970, each told by its magnitude: 1e11 seconds are
# the year 5138, and no other unit is as small for any candle of an exchange.
_UNITS = ((10**11, 1_000_000, 1), (10**14, 1_000, 1), (10**17, 1, 1), (2**63, 1, 1_000))

_WITH_OFFSET = r"(Z|[+-]\d{2}:?\d{2})$"
_WHOLE = r"^-?\d{1,19}(\.0+)?$"


class FileName(NamedTuple):
    """What a file's name says of its candles; None for what it does not say."""

    symbol: str | None
    timeframe: str | None


def read_name(name: str) -> FileName:
    """The symbol and timeframe of a name such as ``BTC_USDC-1m.feather``. Raises `UsageError` for futures."""
    found = _NAME.fullmatch(name)
    if found is None:
        return FileName(None, None)
    if found["settle"] or (found["kind"] or "-spot") != "-spot":
        raise UsageError(f"{name} holds no spot candles by its name; one store holds one market.")
    timeframe = found["timeframe"].replace("Mo", "mo").replace("M", "mo")
    return FileName(found["base"] + (found["quote"] or ""), timeframe)


def read_foreign(
    name: str, body: bytes, symbol: str | None, columns: Mapping[str, str]
) -> Iterator[tuple[str, Klines]]:
    """The candles of a file by symbol. ``columns`` names the file's columns by ours where they differ.

    ``symbol`` is that of a file with no such column. Raises `UsageError` for columns that are missing or
    hold something else, `BadResponseError` for a file that is not of its kind.
    """
    content = _read(name, body)
    if isinstance(content, list):
        yield (wanted := _require_symbol(name, symbol)), read_kline_rows(wanted, content)
        return
    table = _renamed(name, content, columns)
    lacking = [column for column in REQUIRED if column not in table.column_names]
    if lacking:
        raise UsageError(
            f"{name} lacks the columns {', '.join(lacking)}. It has {', '.join(content.column_names) or 'none'}; "
            "say which is which, as in --map open_time=date."
        )
    for wanted, rows in _by_symbol(name, symbol, table):
        yield wanted, _to_klines(name, wanted, rows)


def read_times(name: str, times: pa.ChunkedArray) -> pa.ChunkedArray:
    """Open times as microseconds since 1970.

    Whole numbers are told by their magnitude, text is ISO with or without an offset, and whatever has no
    zone is UTC. Raises `UsageError`.
    """
    kind = times.type
    if pa.types.is_dictionary(kind):
        return read_times(name, times.cast(kind.value_type))
    if pa.types.is_date(kind):
        times = times.cast(pa.timestamp("us"))
    if pa.types.is_timestamp(times.type):
        # With a zone or without: what is stored is UTC, or taken for it.
        return times.cast(pa.timestamp("us", times.type.tz), safe=False).cast(pa.int64())
    try:
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            return _epochs(times.cast(pa.int64()))
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            return _from_text(times.cast(pa.string()))
    except pa.ArrowException:
        pass
    first = next((value for value in times.to_pylist() if value is not None), None)
    raise UsageError(f"{name} has times that cannot be read, such as {first!r}. Write epochs, or 2024-01-01T00:00:00Z.")


def _from_text(times: pa.ChunkedArray) -> pa.ChunkedArray:
    if pc.all(pc.match_substring_regex(times, _WHOLE)).as_py():
        return _epochs(pc.replace_substring_regex(times, r"\.0+$", "").cast(pa.int64()))
    has_offset = pc.match_substring_regex(times, _WITH_OFFSET)
    none = pa.scalar(None, pa.string())
    zoned = pc.if_else(has_offset, times, none).cast(pa.timestamp("us", "UTC")).cast(pa.int64())
    naive = pc.if_else(has_offset, none, times).cast(pa.timestamp("us")).cast(pa.int64())
    return pc.coalesce(zoned, naive)


def _epochs(numbers: pa.ChunkedArray) -> pa.ChunkedArray:
    largest = pc.max(numbers).as_py() or 0
    for below, times, by in _UNITS:
        if largest < below:
            return pc.divide(pc.multiply(numbers, times), by)
    raise AssertionError("no 64-bit number is larger")


def _read(name: str, body: bytes) -> pa.Table | list[Any]:
    """The file as a table, or as the exchange's own rows. Raises `BadResponseError`."""
    ending = name.lower().removesuffix(".gz").rpartition(".")[2]
    try:
        if name.lower().endswith(".gz"):
            body = gzip.decompress(body)
        source = pa.BufferReader(body)
        if ending == "parquet":
            return pq.read_table(source)
        if ending == "feather":
            return feather.read_table(source)
        if ending == "json":
            return _from_json(orjson.loads(body))
        return csv.read_csv(source)
    except (pa.ArrowException, ValueError, TypeError, OSError, EOFError, zlib.error) as error:
        shown = {"parquet": "Parquet", "feather": "feather"}.get(ending, ending.upper())
        raise BadResponseError(f"{name} is not readable {shown}: {error}.") from error


def _from_json(document: Any) -> pa.Table | list[Any]:
    """Lists of six are ccxt's and freqtrade's candles, lists of twelve the exchange's; else rows or columns by name."""
    if isinstance(document, dict):
        return pa.table(document)
    if not isinstance(document, list) or not document:
        raise ValueError("it holds no list of candles")
    if isinstance(document[0], dict):
        return pa.Table.from_pylist(document)
    lengths = {len(row) for row in document}
    if lengths == {12}:
        return document
    if lengths != {len(REQUIRED)}:
        raise ValueError(f"its rows have {sorted(lengths)} cells, where candles have 6 or 12")
    return pa.table(dict(zip(REQUIRED, map(pa.array, zip(*document, strict=True)), strict=True)))


def _renamed(name: str, table: pa.Table, columns: Mapping[str, str]) -> pa.Table:
    """The table with this project's column names."""
    known = set(CANDLE_SCHEMA.names)
    unknown = sorted(set(columns) - known)
    if unknown:
        raise UsageError(
            f"There is no column {unknown[0]} of candles. The columns are {', '.join(CANDLE_SCHEMA.names)}."
        )
    lacking = [theirs for theirs in columns.values() if theirs not in table.column_names]
    if lacking:
        raise UsageError(f"{name} has no column {lacking[0]}. It has {', '.join(table.column_names)}.")
    chosen = {ours: table[ours] for ours in CANDLE_SCHEMA.names if ours in table.column_names}
    times = [theirs for theirs in _TIMES if theirs in table.column_names]
    if times and "open_time" not in chosen:
        chosen["open_time"] = table[times[0]]
    return pa.table(chosen | {ours: table[theirs] for ours, theirs in columns.items()})


def _by_symbol(name: str, symbol: str | None, table: pa.Table) -> list[tuple[str, pa.Table]]:
    if "symbol" not in table.column_names:
        return [(_require_symbol(name, symbol), table)]
    symbols = table["symbol"].cast(pa.string())
    if symbols.null_count:
        raise UsageError(f"{name} has rows without a symbol.")
    return [(found, table.filter(pc.equal(symbols, found))) for found in sorted(pc.unique(symbols).to_pylist())]


def _require_symbol(name: str, symbol: str | None) -> str:
    if symbol is None:
        raise UsageError(f"{name} names no symbol. Say which: threadx import {name} --symbol BTCUSDC")
    return symbol


def _to_klines(name: str, symbol: str, rows: pa.Table) -> Klines:
    """The candles of a table with this project's column names; what it may lack is null."""
    columns = {"open_time": read_times(name, rows["open_time"])}
    try:
        for value in VALUE_FIELDS:
            is_there = value.name in rows.column_names
            columns[value.name] = rows[value.name].cast(value.type) if is_there else pa.nulls(rows.num_rows, value.type)
    except pa.ArrowException as error:
        raise UsageError(f"{name} has a column of an unusable type: {error}.") from error

    def raw(positions: list[int]) -> list[str]:
        return [orjson.dumps(row, default=str).decode() for row in rows.take(positions).to_pylist()]

    return split_klines(symbol, pa.table(columns), raw)
