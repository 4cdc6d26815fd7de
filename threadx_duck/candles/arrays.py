"""Arrow arrays and scalars of Python values, made without importing pandas.

``pyarrow.array`` and ``pyarrow.scalar``, and a compute function that is handed a Python number, import pandas
if it is installed: a fifth of a second and fifty megabytes of every run (tried: pyarrow 26).
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
    """Whole numbers as int64. Raises `ValueError` for anything else among them, `OverflowError` for one too large."""
    if set(map(type, values)) - {int}:
        raise ValueError("a cell that is no whole number")
    return pa.Array.from_buffers(pa.int64(), len(values), [None, pa.py_buffer(array("q", values))])


def texts(values: Sequence[Any]) -> pa.Array:
    """Texts as strings. Raises `ValueError` for anything else among them."""
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
    """A whole number as an int64 scalar."""
    return integers([value])[0]


def text(value: str) -> pa.Scalar:
    """A text as a string scalar."""
    return texts([value])[0]


def time(value: datetime) -> pa.Scalar:
    """A naive time as a scalar of microseconds."""
    return integers([(value - _EPOCH) // timedelta(microseconds=1)]).view(pa.timestamp("us"))[0]


def null(kind: pa.DataType) -> pa.Scalar:
    """No value of a type."""
    return pa.nulls(1, kind)[0]


def empty(schema: pa.Schema) -> pa.Table:
    """A table without rows."""
    return pa.Table.from_batches([], schema)


def rows(values: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """A few rows of numbers, texts and naive times as a table."""
    if not values:
        return empty(schema)
    lines = io.BytesIO(b"\n".join(map(orjson.dumps, values)))
    options = json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error")
    return json.read_json(lines, parse_options=options).select(schema.names)
