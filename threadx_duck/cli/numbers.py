"""How numbers are written: a sum without the noise of adding, and the same decimals down a column."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

# The exchange's numbers have at most eight decimals. Their unit, and the numbers below which a DOUBLE times the unit
# is less than half a unit off, so that each of the exchange's numbers is found again.
_UNIT = 1e8
_FOUND_BELOW = 2.0**51 / _UNIT

# What adding the minutes of a month leaves behind, by their sum: some 1e-14, measured.
_NOISE = 2e-14

# No count of candles is this large; a request_id nearly always is.
_IDENTIFIERS_FROM = 10**15

# With more decimals, or larger numbers, a column of equal decimals would be mostly zeros.
_MOST_DECIMALS = 20
_LARGEST = 1e17


def without_noise(table: pa.Table) -> pa.Table:
    """Returns every DOUBLE that lies within the noise of a sum from a number of eight decimals as that number.

    ``7.559309999999998`` becomes ``7.55931``. A number with at most eight decimals, such as all of the exchange's,
    stays exactly what it is.
    """
    for index, field in enumerate(table.schema):
        if pa.types.is_float64(field.type):
            table = table.set_column(index, field, _cleared(table.column(index)))
    return table


def without_noise_of(row: dict[str, Any]) -> dict[str, Any]:
    """The same for one row."""
    numbers = {name: value for name, value in row.items() if isinstance(value, float)}
    cleared = _cleared(pa.chunked_array([list(numbers.values())], pa.float64())).to_pylist()
    return row | dict(zip(numbers, cleared, strict=True))


def _cleared(column: pa.ChunkedArray) -> pa.ChunkedArray:
    sizes = pc.abs(column)
    rounded = pc.divide(pc.round(pc.multiply(column, _UNIT)), _UNIT)
    is_near = pc.less_equal(pc.abs(pc.subtract(column, rounded)), pc.multiply(sizes, _NOISE))
    return pc.if_else(pc.and_(pc.less(sizes, _FOUND_BELOW), is_near), rounded, column)


def is_number(value: Any) -> bool:
    """Whether a value is written as a number."""
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def even_texts(values: Sequence[Any]) -> list[str]:
    """Numbers with the same decimals, the fewest that show each exactly; None is empty."""
    exact = [_decimal(value) for value in values]
    known = [number for number in exact if number is not None]
    places = max((_places(number) for number in known), default=0)
    if places > _MOST_DECIMALS or any(abs(number) >= _LARGEST for number in known):
        return pointed_texts(values)
    return [
        _text(value) if number is None or isinstance(value, int) else f"{number:{_comma(value)}.{places}f}"
        for value, number in zip(values, exact, strict=True)
    ]


def pointed_texts(values: Sequence[Any]) -> list[str]:
    """Numbers of several kinds, each with its own digits and all of these, the decimal points one below the other."""
    texts = [_text(value) for value in values]
    tails = [len(text) - len(text.partition(".")[0]) for text in texts]
    return [text + " " * (max(tails) - tail) if text else "" for text, tail in zip(texts, tails, strict=True)]


def _decimal(value: Any) -> Decimal | None:
    """The number with the shortest digits that stand for it; None for what has none."""
    if not is_number(value) or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return Decimal(repr(value).removesuffix(".0")) if isinstance(value, float) else Decimal(value)


def _places(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _comma(value: Any) -> str:
    """Whole numbers are written with commas between thousands, unless they are names of something."""
    is_whole = isinstance(value, int) or (isinstance(value, Decimal) and _places(value) == 0)
    return "," if is_whole and abs(value) < _IDENTIFIERS_FROM else ""


def _text(value: Any) -> str:
    if value is None:
        return ""
    return repr(value) if isinstance(value, float) else f"{value:{_comma(value)}}"
