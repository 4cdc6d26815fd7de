"""Converts times that people write to those of the store: naive ``datetime`` in UTC, on a whole minute."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import TypeAlias

from threadx_duck.errors import UsageError

TimeLike: TypeAlias = str | date | datetime
Clock: TypeAlias = Callable[[], datetime]

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
EPOCH = datetime(1970, 1, 1)

_TEXT = re.compile(r"\d{4}-\d{2}-\d{2}(?P<time>[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:?\d{2})?)?", re.ASCII)
_BACK = re.compile(r"(?P<number>[1-9]\d{0,6})(?P<unit>[mhdw])", re.ASCII)
_DAYS_BACK = {"today": 0, "yesterday": 1}
_UNITS = {"m": MINUTE, "h": 60 * MINUTE, "d": DAY, "w": 7 * DAY}
_EXPECTED = (
    "Write 2024-01-31 or 2024-01-31T10:30, in UTC or with an offset such as +02:00; today or yesterday; "
    "or a time back from now, such as 30d, 4w, 12h or 90m."
)


def utc_now() -> datetime:
    """Returns the time of this machine, naive UTC. Only the exchange's clock decides which candles are closed."""
    return datetime.now(UTC).replace(tzinfo=None)


def parse_start(value: TimeLike, clock: Clock = utc_now) -> datetime:
    """Returns the time that ``value`` names. Raises `UsageError` if it is not a time on a whole minute.

    ``clock`` returns the time, naive UTC, from which ``today``, ``30d`` and ``12h`` count; it is called for these
    alone. Days and weeks back are whole UTC days, hours and minutes count from the end of the last closed minute.
    """
    moment, _ = _parse(value, clock)
    return moment


def parse_end(value: TimeLike, clock: Clock = utc_now) -> datetime:
    """Returns the exclusive end that ``value`` names: the end of the day for a plain date, else the time itself.

    ``today``, ``yesterday``, ``30d`` and ``4w`` are plain dates. Raises the errors of `parse_start`.
    """
    moment, is_date = _parse(value, clock)
    if not is_date:
        return moment
    try:
        return moment + DAY
    except OverflowError as error:
        raise UsageError(f"The end {value} lies beyond the calendar.") from error


def parse_range(
    start: TimeLike | None, end: TimeLike | None, clock: Clock = utc_now
) -> tuple[datetime | None, datetime | None]:
    """Returns start and end of a range; None stays None. Raises `UsageError` if the end is not after the start.

    ``clock`` is called once at most, so that both ends count from the same moment; see `parse_start`.
    """
    clock = cache(clock)
    first = None if start is None else parse_start(start, clock)
    last = None if end is None else parse_end(end, clock)
    if first is not None and last is not None and last <= first:
        raise UsageError(f"The range is empty: it starts at {format_time(first)} and ends at {format_time(last)}.")
    return first, last


def format_time(moment: datetime) -> str:
    """Returns a naive time in UTC as text, such as ``2024-01-01T00:00:00Z``."""
    return moment.isoformat(timespec="seconds") + "Z"


def floor_minute(moment: datetime) -> datetime:
    """Returns the start of the minute that contains a time."""
    return moment.replace(second=0, microsecond=0)


def _parse(value: TimeLike, clock: Clock) -> tuple[datetime, bool]:
    """Returns the moment in naive UTC, and whether it names a whole day."""
    if isinstance(value, str) and (value in _DAYS_BACK or _BACK.fullmatch(value)):
        return _back_from(clock(), value)
    moment, is_date = _read(value)
    try:
        moment = moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
    except OverflowError as error:
        raise UsageError(f"The time {value} lies beyond the calendar. {_EXPECTED}") from error
    if moment != floor_minute(moment):
        raise UsageError(f"The time {value} is not on a whole minute. {_EXPECTED}")
    return moment, is_date


def _back_from(now: datetime, text: str) -> tuple[datetime, bool]:
    now = floor_minute(now)
    match = _BACK.fullmatch(text)
    back = _DAYS_BACK[text] * DAY if match is None else int(match["number"]) * _UNITS[match["unit"]]
    is_date = match is None or match["unit"] in "dw"
    try:
        return (now.replace(hour=0, minute=0) if is_date else now) - back, is_date
    except OverflowError as error:
        raise UsageError(f"The time {text} lies beyond the calendar. {_EXPECTED}") from error


def _read(value: date | str) -> tuple[datetime, bool]:
    if isinstance(value, datetime):
        return value, False
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day), True
    match = _TEXT.fullmatch(value)
    if match is None:
        raise UsageError(f"Cannot read the time {value!r}. {_EXPECTED}")
    try:
        return datetime.fromisoformat(value), match["time"] is None
    except ValueError as error:
        raise UsageError(f"There is no such time as {value!r}. {_EXPECTED}") from error
