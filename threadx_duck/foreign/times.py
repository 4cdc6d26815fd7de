"""Reads a file's times (epochs of any unit, timestamps, ISO text) as microseconds since 1970 in UTC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from threadx_duck.candles.arrays import integer
from threadx_duck.errors import UsageError
from threadx_duck.foreign.numbers import as_text, plain, trimmed

# Each number's magnitude shows its unit: 1e11 seconds are the year 5138, and in any other unit a candle's time is
# larger. Above that follow milliseconds, microseconds, nanoseconds.
_SECONDS_BELOW, _MILLIS_BELOW, _MICROS_BELOW = 10**11, 10**14, 10**17

_NONE = pa.scalar(None, pa.int64())
_NO_TEXT = pa.scalar(None, pa.string())
_DAY = integer(86_400_000_000)
_MINUTE = 60_000_000

_EPOCH = r"^\d{1,19}(\.\d*)?$"
_SCIENTIFIC = r"^\d(\.\d*)?[eE]\+?\d{1,2}$"
_ISO = (
    r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
    r"([ T]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,6})?)?)?"
)
_OFFSET = r"(Z|[+-]\d{2}:?\d{2})$"
_DATE_ONLY = r"^\d{4}-\d{2}-\d{2}$"


def read_open_times(name: str, columns: Sequence[tuple[str, pa.ChunkedArray]]) -> tuple[pa.ChunkedArray, list[str]]:
    """Returns the open times of the first readable column of ``columns``, and notes for the user.

    A time is null if its cell holds none. Raises `UsageError` for times that cannot be read, that a spreadsheet
    rounded, or that differ between two columns.
    """
    read, notes, failed = [], [], None
    for column, values in columns:
        try:
            read.append((column, values, read_times(name, values)))
        except UsageError as error:
            failed = error
            if len(columns) > 1:
                notes.append(f"{name}: the column {column} was passed over; it holds no times that can be read.")
    if not read:
        raise failed or UsageError(f"{name} has no column of times.")
    first, _, times = read[0]
    for other, values, others in read[1:]:
        _require_same(name, (first, times), (other, others), _are_dates(values))
    return times, notes


def read_times(name: str, times: pa.ChunkedArray) -> pa.ChunkedArray:
    """Returns times as microseconds since 1970, null where a cell holds none. Times without a zone are UTC.

    Raises `UsageError` if no cell can be read.
    """
    times = plain(times)
    kind = times.type
    if pa.types.is_date(kind):
        read = times.cast(pa.timestamp("us")).cast(pa.int64())
    elif pa.types.is_timestamp(kind):
        # With a zone the stored value is UTC; without one it is taken as UTC.
        read = _micros(times.cast(pa.int64()), kind.unit)
    elif pa.types.is_integer(kind):
        read = _epochs(times)
    elif pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        read = _fractions(times.cast(pa.float64()))
    elif pa.types.is_string(kind):
        read = _from_text(name, times)
    else:
        raise UsageError(f"{name} has times of the type {kind}. Write epochs, or 2024-01-01T00:00:00Z.")
    if len(times) and read.null_count == len(times):
        first = next((value for value in times[:1000].to_pylist() if value is not None), None)
        raise UsageError(
            f"{name} has times that cannot be read, such as {first!r}. Write epochs, or 2024-01-01T00:00:00Z."
        )
    return read


def _from_text(name: str, times: pa.ChunkedArray) -> pa.ChunkedArray:
    """Reads each text by its own form: a number, or a date with or without time, fraction and offset."""
    try:
        return _epochs(times.cast(pa.int64()))
    except pa.ArrowInvalid:
        texts = trimmed(times)
    is_epoch = pc.match_substring_regex(texts, _EPOCH)
    is_scientific = pc.match_substring_regex(texts, _SCIENTIFIC)
    numbers = _NONE
    if pc.any(is_scientific).as_py():
        _require_unrounded(name, texts.filter(is_scientific))
    is_number = pc.or_(is_epoch, is_scientific)
    if pc.any(is_number).as_py():
        whole = pc.if_else(is_epoch, pc.replace_substring_regex(texts, r"\.0*$", ""), _NO_TEXT)
        is_whole = pc.and_(is_epoch, pc.match_substring_regex(pc.fill_null(whole, ""), r"^\d{1,18}$"))
        fractions = pc.if_else(pc.and_(is_number, pc.invert(is_whole)), texts, _NO_TEXT)
        numbers = pc.coalesce(
            _epochs(pc.if_else(is_whole, whole, _NO_TEXT).cast(pa.int64())), _fractions(fractions.cast(pa.float64()))
        )
    return pc.coalesce(numbers, _from_iso(name, pc.if_else(is_number, _NO_TEXT, texts)))


def _from_iso(name: str, texts: pa.ChunkedArray) -> pa.ChunkedArray:
    for kind in (pa.timestamp("us"), pa.timestamp("us", "UTC")):
        try:
            # If all texts have one usual form, this takes a tenth of the time.
            return texts.cast(kind).cast(pa.int64())
        except pa.ArrowInvalid:
            pass
    texts = pc.replace_substring_regex(texts, r"^(\d{4})/(\d{2})/(\d{2})", r"\1-\2-\3")
    texts = pc.replace_substring_regex(texts, r" ?UTC$", "Z")
    # Removes zeros at the end of a fraction: pandas writes nine digits.
    texts = pc.replace_substring_regex(texts, r"(\.\d*?)0+(Z|[+-]\d{2}:?\d{2})?$", r"\1\2")
    texts = pc.replace_substring_regex(texts, r"\.(Z|[+-]\d{2}:?\d{2})?$", r"\1")
    texts = pc.replace_substring_regex(texts, r" ([+-]\d{2}:?\d{2})$", r"\1")
    has_offset = pc.match_substring_regex(texts, _ISO + _OFFSET)
    is_naive = pc.match_substring_regex(texts, _ISO + "$")
    try:
        zoned = pc.if_else(has_offset, texts, _NO_TEXT).cast(pa.timestamp("us", "UTC")).cast(pa.int64())
        naive = pc.if_else(is_naive, texts, _NO_TEXT).cast(pa.timestamp("us")).cast(pa.int64())
    except pa.ArrowInvalid as error:
        # For example, the 31st of February.
        raise UsageError(f"{name} has a time that no calendar has: {error}.") from error
    return pc.coalesce(zoned, naive)


def _epochs(numbers: pa.ChunkedArray) -> pa.ChunkedArray:
    """Returns whole numbers as microseconds, each by its magnitude; null if a number cannot be a time."""
    numbers = numbers.cast(pa.int64(), safe=False) if pa.types.is_unsigned_integer(numbers.type) else numbers
    numbers = numbers.cast(pa.int64())
    is_time = pc.greater_equal(numbers, integer(0))
    if not len(numbers) or not pc.any(is_time).as_py():
        return pc.if_else(is_time, numbers, _NONE)
    bounds = pc.min_max(numbers).as_py()
    for unit, low, high in (
        ("s", 0, _SECONDS_BELOW),
        ("ms", _SECONDS_BELOW, _MILLIS_BELOW),
        ("us", _MILLIS_BELOW, _MICROS_BELOW),
        ("ns", _MICROS_BELOW, 2**63),
    ):
        if low <= bounds["min"] and bounds["max"] < high:
            return _micros(numbers, unit)
    read: Any = _NONE
    for unit, low, high in (
        ("ns", _MICROS_BELOW, 2**63 - 1),
        ("us", _MILLIS_BELOW, _MICROS_BELOW - 1),
        ("ms", _SECONDS_BELOW, _MILLIS_BELOW - 1),
        ("s", 0, _SECONDS_BELOW - 1),
    ):
        is_of = pc.and_(pc.greater_equal(numbers, integer(low)), pc.less_equal(numbers, integer(high)))
        read = pc.if_else(is_of, _micros(pc.if_else(is_of, numbers, _NONE), unit), read)
    return read


def _micros(numbers: pa.ChunkedArray, unit: str) -> pa.ChunkedArray:
    if unit == "ns":
        # Rounded up, so that a time just after a whole minute is not read as the whole minute.
        return pc.negate(pc.divide(pc.negate(numbers), integer(1_000))) if _is_whole(numbers) else _ceiling(numbers)
    return pc.multiply(numbers, integer({"s": 1_000_000, "ms": 1_000, "us": 1}[unit]))


def _is_whole(numbers: pa.ChunkedArray) -> bool:
    return bool(pc.all(pc.equal(pc.multiply(pc.divide(numbers, integer(1_000)), integer(1_000)), numbers)).as_py())


def _ceiling(numbers: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.divide(pc.add(numbers, integer(999)), integer(1_000))


def _fractions(numbers: pa.ChunkedArray) -> pa.ChunkedArray:
    """Returns numbers with a fraction as microseconds, each by its magnitude; null if a number cannot be a time."""
    is_time = pc.and_(pc.is_finite(numbers), pc.and_(pc.greater_equal(numbers, 0.0), pc.less(numbers, 9.2e18)))
    numbers = pc.if_else(is_time, numbers, pa.scalar(None, pa.float64()))
    by = pc.if_else(
        pc.less(numbers, float(_SECONDS_BELOW)),
        1e6,
        pc.if_else(
            pc.less(numbers, float(_MILLIS_BELOW)), 1e3, pc.if_else(pc.less(numbers, float(_MICROS_BELOW)), 1.0, 1e-3)
        ),
    )
    return pc.round(pc.multiply(numbers, by)).cast(pa.int64())


def _require_unrounded(name: str, texts: pa.ChunkedArray) -> None:
    """Raises `UsageError` for numbers that a spreadsheet rounded, such as 1.7096E+12, unless minutes stay distinct."""
    micros = _fractions(texts.cast(pa.float64())).sort()
    steps = pc.subtract(micros[1:], micros[:-1])
    is_on_grid = pc.equal(pc.multiply(pc.divide(micros, integer(_MINUTE)), integer(_MINUTE)), micros)
    if pc.all(is_on_grid).as_py() and len(steps) and pc.min(steps).as_py() == _MINUTE:
        return
    raise UsageError(
        f"{name} has times that a spreadsheet rounded, such as {texts[0].as_py()}. "
        "Give their cells the format of whole numbers, or take the file as it was before the spreadsheet."
    )


def _are_dates(values: pa.ChunkedArray) -> bool:
    """Whether times are plain dates, which agree with any time of the same day."""
    if pa.types.is_date(values.type):
        return True
    values = plain(values)
    return pa.types.is_string(values.type) and bool(
        pc.all(pc.match_substring_regex(trimmed(values), _DATE_ONLY)).as_py()
    )


def _require_same(
    name: str, one: tuple[str, pa.ChunkedArray], other: tuple[str, pa.ChunkedArray], are_dates: bool
) -> None:
    mine = pc.multiply(pc.divide(one[1], _DAY), _DAY) if are_dates else one[1]
    differ = pc.fill_null(pc.not_equal(mine, other[1]), False)
    if not pc.any(differ).as_py():
        return
    first = pc.index(differ, True).as_py()
    told = [as_text(times[first].as_py()) for times in (one[1], other[1])]
    raise UsageError(
        f"{name} has two columns of times that differ: {one[0]} is {told[0]} where {other[0]} is {told[1]}. "
        f"Say which is UTC, as in --map open_time={one[0]}."
    )
