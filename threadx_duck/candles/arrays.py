"""Makes Arrow arrays and scalars from Python values without importing pandas.

``pyarrow.array`` and ``pyarrow.scalar``, and a compute function that gets a Python number, import pandas
if it is installed. That costs every run 0.2 seconds and 50 megabytes (measured with pyarrow 26).
"""

from __future__ import annotations

import io
from array import array
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any

import orjson
import pyarrow as pa
from pyarrow import json

_EPOCH = datetime(1970, 1, 1)


def integers(values: Sequence[Any]) -> pa.Array:
    """Returns whole numbers as int64. Raises `ValueError` for other values, `OverflowError` for too large a number."""
    if set(map(type, values)) - {int}:
        raise ValueError("a cell that is no whole number")
    return pa.Array.from_buffers(pa.int64(), len(values), [None, pa.py_buffer(array("q", values))])


def texts(values: Sequence[Any]) -> pa.Array:
    """Returns texts as strings. Raises `ValueError` for other values."""
    try:
        content = "".join(values)
    except TypeError as error:
        raise ValueError("a cell that is no text") from error
    sizes = map(len, values if content.isascii() else [value.encode() for value in values])
    offsets = array("i", accumulate(sizes, initial=0))
    return pa.Array.from_buffers(
        pa.string(), len(values), [None, pa.py_buffer(offsets), pa.py_buffer(content.encode())]
    )


def integer(value: int) -> pa.Scalar:
    """Returns a whole number as an int64 scalar."""
    return integers([value])[0]


def text(value: str) -> pa.Scalar:
    """Returns a text as a string scalar."""
    return texts([value])[0]


def time(value: datetime) -> pa.Scalar:
    """Returns a naive time as a timestamp scalar in microseconds."""
    return integers([(value - _EPOCH) // timedelta(microseconds=1)]).view(pa.timestamp("us"))[0]


def null(kind: pa.DataType) -> pa.Scalar:
    """Returns a null scalar of a type."""
    return pa.nulls(1, kind)[0]


def empty(schema: pa.Schema) -> pa.Table:
    """Returns a table without rows."""
    return pa.Table.from_batches([], schema)


def rows(values: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Returns a few rows of numbers, texts and naive times as a table."""
    if not values:
        return empty(schema)
    lines = io.BytesIO(b"\n".join(map(orjson.dumps, values)))
    options = json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error")
    return json.read_json(lines, parse_options=options).select(schema.names)
