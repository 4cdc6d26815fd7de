"""Converts values to text and text to values: every type that DuckDB returns, and ages that a user types."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import orjson

from threadx_duck.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

_AGE = re.compile(r"([1-9][0-9]{0,4})([smhd])")
_AGE_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

# The errors that Arrow raises for a time outside the range of Python's types.
_BEYOND = (OverflowError, ValueError)

# DuckDB's infinite dates and times: the largest number that the type holds, and the same below zero.
_INFINITE = {2**31 - 1: "infinity", -(2**31) + 1: "-infinity", 2**63 - 1: "infinity", -(2**63) + 1: "-infinity"}


# The columns of a table of revisions.
REVISION_COLUMNS = ("open time", "field", "old", "new", "old source", "new source", "applied", "revised at")


def as_records(table: pa.Table) -> list[dict[str, Any]]:
    """Returns each row as a dictionary by column name."""
    columns = [column_values(column) for column in table.columns]
    return [dict(zip(table.column_names, row, strict=True)) for row in zip(*columns, strict=True)]


def column_values(column: pa.ChunkedArray) -> list[Any]:
    """Returns the values of a column; a time outside Python's range becomes text, such as ``infinity``."""
    try:
        return column.to_pylist()  # type: ignore[no-any-return]
    except _BEYOND:
        return [_value(scalar) for scalar in column]


def text_of(value: Any) -> str | None:
    """Returns a value as text: times in UTC with a ``Z``, lists and structs as JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return f"{value.replace(microsecond=0, tzinfo=None).isoformat()}Z"
    if isinstance(value, date):
        return value.isoformat()
    return json_text(value).decode() if isinstance(value, list | dict) else str(value)


def json_text(value: Any) -> bytes:
    """Returns a value as JSON; a value that JSON cannot express becomes text."""
    return orjson.dumps(value, default=_plain, option=orjson.OPT_NON_STR_KEYS)


def _plain(value: Any) -> int | str:
    """Returns values that JSON cannot express as text, but sums of whole numbers (decimals in DuckDB) as numbers."""
    if isinstance(value, Decimal) and value == value.to_integral_value() and abs(value) < 2**63:
        return int(value)
    return str(value)


def _value(scalar: pa.Scalar) -> Any:
    if not scalar.is_valid:
        return None
    try:
        return scalar.as_py()
    except _BEYOND:
        return _beyond(scalar)


def _beyond(scalar: pa.Scalar) -> Any:
    """Returns a text for a value that is or contains a time outside Python's range."""
    import pyarrow as pa

    if isinstance(scalar, pa.StructScalar):
        return {name: _value(part) for name, part in scalar.items()}
    if isinstance(scalar, pa.UnionScalar):
        return _value(scalar.value)
    if isinstance(scalar, pa.ListScalar | pa.LargeListScalar | pa.FixedSizeListScalar | pa.MapScalar):
        parts: Iterable[pa.Scalar] = scalar.values
        return [_value(part) for part in parts]
    return _INFINITE.get(scalar.value) or str(scalar.cast(pa.string()))


def read_age(text: str) -> timedelta:
    """Returns the length of time that a text such as ``10m`` means. Raises `UsageError`."""
    match = _AGE.fullmatch(text)
    if match is None:
        raise UsageError(f"Cannot read the age {text!r}. Write a number and s, m, h or d, such as 10m.")
    return timedelta(**{_AGE_UNITS[match[2]]: int(match[1])})


def revision_cells(row: dict[str, Any]) -> tuple[Any, ...]:
    """Returns the values of a revision in the order of `REVISION_COLUMNS`."""
    return tuple(row[name.replace(" ", "_")] for name in REVISION_COLUMNS)
