"""Reads a file's candles by symbol: finds the columns, the symbols, and the values of the cells."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import NamedTuple

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from threadx_duck.candles.arrays import empty
from threadx_duck.candles.klines import REJECTED_SCHEMA, UNREADABLE, VALUE_FIELDS, Klines, split_klines
from threadx_duck.errors import BadResponseError, UsageError
from threadx_duck.foreign.columns import REQUIRED, Columns, Roles, find_roles
from threadx_duck.foreign.csv_files import read_csv
from threadx_duck.foreign.json_shapes import read_json
from threadx_duck.foreign.names import require_symbol, spot_symbol
from threadx_duck.foreign.numbers import Numbers, plain, read_numbers, trimmed, whole, without_nan
from threadx_duck.foreign.tables import read_table
from threadx_duck.foreign.times import read_open_times
from threadx_duck.texts.symbols import plain as plain_symbol
from threadx_duck.texts.visible import visible

_MOST_SYMBOLS = 3
_NO_NUMBER = pa.scalar(None, pa.float64())


class Reading(NamedTuple):
    """The candles of a file by symbol, and notes that tell the user how they were read."""

    found: list[tuple[str, Klines]]
    notes: list[str]


def read_foreign(
    name: str,
    body: bytes,
    given: str | None,
    named: str | None,
    mapping: Mapping[str, str],
    *,
    kind: str,
) -> Reading:
    """Returns the candles of an unpacked file. ``mapping`` maps our column names to the file's where they differ.

    ``given`` is the symbol that the user named, ``named`` the symbol in the file's name, ``kind`` the ending that says
    how to read it: ``.parquet``, ``.feather`` or ``.json``, any other as CSV. Raises `UsageError` for columns that are
    missing or hold something else, `BadResponseError` for a file that is not of its kind.
    """
    columns = _columns_of(name, body, kind)
    if columns.timeframe not in {None, "1m", "1min", "1"}:
        raise UsageError(f"{name} holds {columns.timeframe} candles, as it says itself; only 1m can be imported.")
    told = columns.symbol and spot_symbol(name, columns.symbol)
    roles = find_roles(name, columns.names, mapping, given or told or named or _only_symbol(name, columns))
    owners = _owners(name, columns, roles, given, told or named)
    times, notes = read_open_times(name, [(columns.names[place], columns.arrays[place]) for place in roles.times])
    values, unreadable, singles = _values(name, columns, roles)
    if singles:
        notes.append(f"{name}: {', '.join(singles)} were in single precision; read as the shortest decimals they are.")
    table = pa.table({"open_time": times, **values})
    if not table.num_rows and not columns.malformed:
        raise BadResponseError(f"{name} holds no candles.")
    found: list[tuple[str, Klines]] = []
    for symbol, mask in owners:
        rows = table if mask is None else table.filter(mask)
        klines = split_klines(symbol, rows, functools.partial(_raw, columns, mask), unit_told=True)
        found.append((symbol, _with_malformed(symbol, klines, columns.malformed if not found else [])))
    if unreadable:
        notes.append(f"{name}: {', '.join(unreadable)} hold cells that are no numbers; their rows were rejected.")
    return Reading(found, [*columns.notes, *notes])


def _columns_of(name: str, body: bytes, kind: str) -> Columns:
    if kind in {".parquet", ".feather"}:
        return read_table(name, body, is_parquet=kind == ".parquet")
    return read_json(name, body) if kind == ".json" else read_csv(name, body)


def _only_symbol(name: str, columns: Columns) -> str | None:
    """Returns the symbol of all rows if the file has a column ``symbol`` with only one value, else None."""
    for column, array in zip(columns.names, columns.arrays, strict=True):
        if column.strip().lower() == "symbol" and pa.types.is_string(plain(array).type):
            distinct = pc.unique(plain(array).drop_null()).to_pylist()
            return spot_symbol(name, distinct[0]) if len(distinct) == 1 else None
    return None


def _owners(
    name: str, columns: Columns, roles: Roles, given: str | None, named: str | None
) -> list[tuple[str, pa.ChunkedArray | None]]:
    """Returns the symbols of a file, each with a mask of its rows, or None if all rows belong to it."""
    if roles.symbol is None:
        return [(require_symbol(name, given or named), None)]
    symbols = plain(columns.arrays[roles.symbol])
    if not pa.types.is_string(symbols.type):
        if given:
            return [(given, None)]
        raise UsageError(f"{name} has symbols of the type {symbols.type}; they are texts, such as BTCUSDC.")
    symbols = trimmed(symbols)
    is_named = pc.fill_null(pc.not_equal(symbols, ""), False)
    distinct = pc.unique(symbols.filter(is_named)).to_pylist()
    meant = sorted(set(map(plain_symbol, distinct)))
    if given and len(meant) > 1:
        shown = visible(", ".join([*meant[:_MOST_SYMBOLS], "…"][: len(meant)]))
        raise UsageError(f"{name} holds {len(meant):,} symbols ({shown}), so --symbol cannot name one; leave it out.")
    if given and meant and meant != [given]:
        columns.notes.append(f"{name} calls its candles {visible(meant[0])}; they were stored as {given}.")
    if given or len(distinct) == 0:
        return [(require_symbol(name, given or named), None)]
    # Rows without a symbol belong to the file's only symbol; if it has several, they belong to none.
    if len(distinct) > 1 and not pc.all(is_named).as_py():
        raise UsageError(f"{name} has rows without a symbol.")
    by_symbol: dict[str, list[str]] = {}
    for written in sorted(distinct):
        by_symbol.setdefault(spot_symbol(name, written), []).append(written)
    if len(by_symbol) == 1:
        return [(next(iter(by_symbol)), None)]
    return [(symbol, pc.is_in(symbols, pa.array(forms, pa.string()))) for symbol, forms in by_symbol.items()]


def _values(name: str, columns: Columns, roles: Roles) -> tuple[dict[str, pa.ChunkedArray], list[str], list[str]]:
    """Returns the value columns in our types, the names of those with unreadable cells, and of single precision."""
    rows = len(columns.arrays[0]) if columns.arrays else 0
    read: dict[str, pa.ChunkedArray] = {}
    unreadable, singles = [], []
    is_bad: pa.ChunkedArray | None = None
    for field in VALUE_FIELDS:
        place = roles.values.get(field.name)
        if place is None:
            read[field.name] = pa.chunked_array([pa.nulls(rows, field.type)])
            continue
        numbers = read_numbers(name, columns.names[place], columns.arrays[place])
        if field.name not in REQUIRED:
            numbers = without_nan(numbers)
        numbers = whole(numbers) if pa.types.is_integer(field.type) else numbers
        read[field.name] = numbers.values
        if numbers.is_single:
            singles.append(columns.names[place])
        if _has_unreadable(numbers):
            unreadable.append(columns.names[place])
            is_bad = numbers.unreadable if is_bad is None else pc.or_(is_bad, numbers.unreadable)
    if is_bad is not None:
        # Without an open price a row counts as unreadable, whichever of its cells is unreadable.
        read["open"] = pc.if_else(is_bad, _NO_NUMBER, read["open"])
    return read, unreadable, singles


def _has_unreadable(numbers: Numbers) -> bool:
    return numbers.unreadable is not None and bool(pc.any(numbers.unreadable).as_py())


def _raw(columns: Columns, mask: pa.ChunkedArray | None, positions: list[int]) -> list[str]:
    """Returns the rows at some positions of a symbol as text, as they were in the file."""
    places = pa.array(positions, pa.int64())
    if mask is not None:
        places = pc.indices_nonzero(mask).take(places)
    cells = [array.take(places).to_pylist() for array in columns.arrays]
    if columns.is_text:
        return [",".join(map(str, row)) for row in zip(*cells, strict=True)]
    return [
        orjson.dumps(dict(zip(columns.names, row, strict=True)), default=str).decode()
        for row in zip(*cells, strict=True)
    ]


def _with_malformed(symbol: str, klines: Klines, malformed: list[str]) -> Klines:
    """Returns the candles, with the rows of another number of cells among the rejected rows."""
    if not malformed:
        return klines
    count = len(malformed)
    rows = pa.table(
        [[symbol] * count, pa.nulls(count, pa.timestamp("us")), malformed, [UNREADABLE] * count],
        schema=REJECTED_SCHEMA,
    )
    rejected = pa.concat_tables([klines.rejected, rows]) if klines.rejected.num_rows else rows
    return Klines(klines.candles, rejected if rejected.num_rows else empty(REJECTED_SCHEMA))
