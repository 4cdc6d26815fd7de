"""Reads a file's prices and amounts as doubles. A number that cannot be read exactly is refused."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from threadx_duck.candles.times import EPOCH
from threadx_duck.errors import UsageError

_DECIMAL = r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?$"
_NO_TEXT = pa.scalar(None, pa.string())
_NO_NUMBER = pa.scalar(None, pa.float64())

# A single-precision number has 24 binary digits.
_BINARY_DIGITS = 24
_LARGEST_WHOLE = 2**53


class Numbers(NamedTuple):
    """Cells as numbers, null where a cell has none.

    ``unreadable`` marks the cells that hold something else; None if there are none. ``is_single`` says that the
    numbers were in single precision.
    """

    values: pa.ChunkedArray
    unreadable: pa.ChunkedArray | None
    is_single: bool = False


def plain(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Returns the values with all kinds of text as plain strings, and categories as their values."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        return plain(values.cast(kind.value_type))
    is_text = pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    if is_text or pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return values.cast(pa.string())
    return pa.nulls(len(values), pa.string()) if pa.types.is_null(kind) else values


def trimmed(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Returns texts without the blanks and quotes around them."""
    return pc.utf8_trim(texts, " \t\r\"'\u00a0\ufeff")


def as_text(micros: int | None) -> str:
    """Returns microseconds since 1970 as a readable time."""
    if micros is None:
        return "none"
    try:
        moment: datetime = EPOCH + timedelta(microseconds=micros)
    except OverflowError:
        return str(micros)
    return moment.isoformat() + "Z"


def read_numbers(name: str, column: str, values: pa.ChunkedArray) -> Numbers:
    """Returns a column as doubles.

    Raises `UsageError` for a column of another type, or in single precision that has lost digits.
    """
    values = plain(values)
    kind = values.type
    if pa.types.is_decimal(kind):
        # Converted through text, because a direct conversion may miss the nearest double.
        return Numbers(values.cast(pa.string()).cast(pa.float64()), None)
    if pa.types.is_float16(kind) or pa.types.is_float32(kind):
        return Numbers(_from_single(name, column, values.cast(pa.float32())), None, is_single=True)
    if pa.types.is_float64(kind):
        if _was_single(values):
            return Numbers(_from_single(name, column, values.cast(pa.float32())), None, is_single=True)
        return Numbers(values, None)
    if pa.types.is_integer(kind):
        # A whole number that no double can hold is out of range for a candle, and is rejected for that.
        return Numbers(values.cast(pa.float64(), safe=False), None)
    if pa.types.is_string(kind):
        return _from_text(values)
    raise UsageError(f"{name} has a column {column} of an unusable type, {kind}; it takes numbers.")


def whole(numbers: Numbers) -> Numbers:
    """Returns the numbers as whole numbers; a number with a fraction counts as unreadable."""
    values = numbers.values
    is_whole = pc.and_(pc.equal(pc.round(values), values), pc.less(pc.abs(values), float(_LARGEST_WHOLE)))
    if pc.all(is_whole).as_py() is not False:
        return Numbers(values.cast(pa.int64()), numbers.unreadable)
    unreadable = pc.fill_null(pc.invert(is_whole), False)
    if numbers.unreadable is not None:
        unreadable = pc.or_(unreadable, numbers.unreadable)
    return Numbers(pc.if_else(is_whole, values, _NO_NUMBER).cast(pa.int64()), unreadable)


def without_nan(numbers: Numbers) -> Numbers:
    """Returns the numbers with null for NaN, which programs write where a frame has no value."""
    is_nan = pc.is_nan(numbers.values)
    if not pc.any(is_nan).as_py():
        return numbers
    return numbers._replace(values=pc.if_else(is_nan, _NO_NUMBER, numbers.values))


def _from_text(texts: pa.ChunkedArray) -> Numbers:
    try:
        return Numbers(texts.cast(pa.float64()), None)
    except pa.ArrowInvalid:
        texts = trimmed(texts)
    is_number = pc.match_substring_regex(texts, _DECIMAL)
    is_empty = pc.is_in(pc.utf8_lower(texts), pa.array(["", "nan", "null", "none"], pa.string()))
    values = pc.if_else(is_number, texts, _NO_TEXT).cast(pa.float64())
    return Numbers(values, pc.fill_null(pc.invert(pc.or_(is_number, is_empty)), False))


def _was_single(values: pa.ChunkedArray) -> bool:
    """Whether doubles are single-precision numbers in a wider type: 63007.62890625 for 63007.63."""
    single = values.cast(pa.float32(), safe=False)
    if not pc.all(pc.equal(single.cast(pa.float64()), values)).as_py():
        return False
    return pc.any(pc.not_equal(_shortest(single), values)).as_py() is True


def _shortest(single: pa.ChunkedArray) -> pa.ChunkedArray:
    return single.cast(pa.string()).cast(pa.float64())


def _from_single(name: str, column: str, single: pa.ChunkedArray) -> pa.ChunkedArray:
    """Returns the decimals that single-precision numbers stand for.

    They are certain if all of them are on one decimal grid whose steps single precision can distinguish. Raises
    `UsageError` if not.
    """
    wide = single.cast(pa.float64())
    finite = wide.filter(pc.fill_null(pc.is_finite(wide), False))
    texts = single.cast(pa.string())
    values = texts.cast(pa.float64())
    if len(finite):
        largest = pc.max(pc.abs(finite)).as_py()
        step = math.ldexp(1.0, math.frexp(largest)[1] - _BINARY_DIGITS) if largest else 0.0
        decimals = _decimals(texts)
        if step >= 10.0**-decimals:
            raise UsageError(
                f"{name} has the column {column} in single precision, which has lost digits: near {largest:.9g} it "
                f"tells steps of {step:.1g}, and {10.0**-decimals:.0e} is needed. Write doubles or text."
            )
    return values


def _decimals(texts: pa.ChunkedArray) -> int:
    """Returns the largest number of digits after the point."""
    fraction = pc.utf8_length(pc.replace_substring_regex(texts, r"^-?\d+\.?|\.?0*([eE].*)?$", ""))
    exponents = pc.replace_substring_regex(texts, r"^[^eE]*[eE]?", "")
    exponent = pc.if_else(pc.equal(exponents, ""), "0", exponents).cast(pa.int64())
    return max(int(pc.max(pc.subtract(fraction.cast(pa.int64()), exponent)).as_py() or 0), 0)
