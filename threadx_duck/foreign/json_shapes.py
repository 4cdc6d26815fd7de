"""Reads a JSON document as columns: rows with names or by position, pandas' to_json, or either inside an answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
import pyarrow as pa

from threadx_duck.errors import BadResponseError
from threadx_duck.foreign.columns import ARCHIVE_COLUMNS, REQUIRED, Columns, has_prices, has_time
from threadx_duck.texts.visible import visible

_SYMBOLS = ("symbol", "pair")
_TIMEFRAMES = ("interval", "timeframe")

# The name for the index of a pandas frame that has its times in the index only.
_INDEX = "index"


def read_json(name: str, body: bytes) -> Columns:
    """Returns the columns of a JSON document. Raises `BadResponseError` if it holds no candles."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadResponseError(f"{name} is not readable JSON: {error}.") from error
    try:
        return _of_object(document) if isinstance(document, dict) else _of_rows(document)
    except ValueError as error:
        raise BadResponseError(f"{name} is JSON but holds no candles: {str(error).rstrip('.')}.") from error


def _of_object(document: dict[str, Any]) -> Columns:
    values = list(document.values())
    if has_prices(list(document)):
        return _of_columns(document)
    if set(document) >= {"columns", "data"}:
        return _with_index([str(column) for column in document["columns"]], document["data"], document.get("index"))
    if values and all(isinstance(value, dict) and has_prices(list(value)) for value in values):
        return _of_records(values, list(document))
    inner = list(filter(_may_be_candles, _parts(values)))
    if len(inner) == 1:
        found = _of_object(inner[0]) if isinstance(inner[0], dict) else _of_rows(inner[0])
        found.symbol = found.symbol or _told(document, _SYMBOLS)
        found.timeframe = found.timeframe or _told(document, _TIMEFRAMES)
        return found
    if len(inner) > 1:
        raise ValueError(f"it has {len(inner)} lists of them; write each into a file of its own")
    shown = ", ".join(f"{visible(str(key)[:30])} {_short(value)}" for key, value in list(document.items())[:4])
    raise ValueError(f"it says {shown}" if document else "it is empty")


def _may_be_candles(value: list[Any] | dict[str, Any]) -> bool:
    """Whether a part of a document contains rows or columns of candles, at any depth."""
    if isinstance(value, dict):
        return has_prices(list(value)) or any(map(_may_be_candles, _parts(value.values())))
    first = value[0] if value else None
    return isinstance(first, list) or (isinstance(first, dict) and has_prices(list(first)))


def _parts(values: Iterable[Any]) -> list[Any]:
    return [value for value in values if isinstance(value, list | dict)]


def _told(document: Mapping[str, Any], keys: Sequence[str]) -> str | None:
    return next((value for key in keys if isinstance(value := document.get(key), str)), None)


def _of_columns(document: dict[str, Any]) -> Columns:
    """Reads columns by name: lists, or pandas' objects that map an index to values and share the same index."""
    columns = {key: value for key, value in document.items() if isinstance(value, dict | list)}
    first = next(iter(columns.values()), None)
    if first is None or {type(value) for value in columns.values()} != {type(first)}:
        raise ValueError("its columns are neither all lists nor all objects")
    if len(set(map(len, columns.values()))) != 1:
        raise ValueError("its columns are of different lengths")
    names = list(columns)
    if isinstance(first, list):
        found = Columns(names, [_array(list(column)) for column in columns.values()])
        found.symbol, found.timeframe = _told(document, _SYMBOLS), _told(document, _TIMEFRAMES)
        return found
    index = list(first)
    try:
        values = [[column[key] for key in index] for column in columns.values()]
    except KeyError as error:
        raise ValueError(f"its columns have different rows, such as {error}") from error
    arrays = list(map(_array, values))
    if not has_time(names):
        names, arrays = [_INDEX, *names], [_array(index), *arrays]
    return Columns(names, arrays)


def _of_rows(rows: Any) -> Columns:
    """Reads rows with names, or by position: six cells are ccxt's and freqtrade's candles, twelve the exchange's."""
    if not isinstance(rows, list) or not rows:
        raise ValueError("it holds no list of candles")
    kinds = set(map(type, rows))
    if kinds == {dict}:
        return _of_records(rows, None)
    if kinds != {list}:
        raise ValueError(f"the list holds no rows but {_short(rows[0])}")
    lengths = {len(row) for row in rows}
    if lengths not in ({len(REQUIRED)}, {len(ARCHIVE_COLUMNS)}):
        raise ValueError(f"its rows have {sorted(lengths)} cells, where candles have 6 or 12")
    names = REQUIRED if lengths == {len(REQUIRED)} else ARCHIVE_COLUMNS
    return _with_index(list(names), rows, None)


def _of_records(rows: Sequence[dict[str, Any]], index: list[str] | None) -> Columns:
    names = list(dict.fromkeys(key for row in rows for key in row))
    return _with_index(names, [[row.get(key) for key in names] for row in rows], index)


def _with_index(names: list[str], rows: Sequence[Sequence[Any]], index: list[Any] | None) -> Columns:
    if {len(row) for row in rows} - {len(names)}:
        raise ValueError("its rows have another number of cells than it has columns")
    arrays = list(map(_array, zip(*rows, strict=True))) or [_array([]) for _ in names]
    if index is not None and not has_time(names):
        return Columns([_INDEX, *names], [_array(index), *arrays])
    return Columns(names, arrays)


def _array(values: Sequence[Any]) -> pa.ChunkedArray:
    """Returns cells as a column; as text if they are of different kinds."""
    try:
        made = pa.array(values)
    except (pa.ArrowException, OverflowError):
        made = pa.array([value if value is None or isinstance(value, str) else _short(value) for value in values])
    return pa.chunked_array([made])


def _short(value: Any) -> str:
    text = visible(value if isinstance(value, str) else orjson.dumps(value).decode())
    return text if len(text) <= 60 else text[:60] + "…"
