"""Times as people write them and as the store holds them: naive ``datetime`` in UTC, on a whole minute."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple, TypeAlias

from threadx_duck.errors import UsageError

TimeLike: TypeAlias = str | date | datetime

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
EPOCH = datetime(1970, 1, 1)

_TEXT = re.compile(r"\d{4}-\d{2}-\d{2}(?P<time>[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:?\d{2})?)?", re.ASCII)
_EXPECTED = "Write 2024-01-31 or 2024-01-31T10:30, in UTC or with an offset such as +02:00."


class TimeRange(NamedTuple):
    """A half-open range ``[start, end)`` of minutes in UTC."""

    start: datetime
    end: datetime

    @property
    def minutes(self) -> int:
        """The number of minutes in the range."""
        return (self.end - self.start) // MINUTE


def intersect_ranges(ranges: Iterable[TimeRange], others: Iterable[TimeRange]) -> list[TimeRange]:
    """What lies in one of the ranges and in one of the others; each sorted and disjoint, as is the result."""
    found: list[TimeRange] = []
    left, right = list(ranges), list(others)
    while left and right:
        common = TimeRange(max(left[0].start, right[0].start), min(left[0].end, right[0].end))
        if common.start < common.end:
            found.append(common)
        del (left if left[0].end <= right[0].end else right)[0]
    return found


def subtract_ranges(ranges: Iterable[TimeRange], others: Iterable[TimeRange]) -> list[TimeRange]:
    """What lies in one of the ranges and in none of the others; each sorted and disjoint, as is the result."""
    left: list[TimeRange] = []
    taken, place = list(others), 0
    for start, end in ranges:
        while place < len(taken) and taken[place].end <= start:
            place += 1
        begin, following = start, place
        while following < len(taken) and taken[following].start < end:
            if begin < taken[following].start:
                left.append(TimeRange(begin, taken[following].start))
            begin = max(begin, taken[following].end)
            following += 1
        # The last of these may reach into the next range as well.
        place = max(place, following - 1)
        if begin < end:
            left.append(TimeRange(begin, end))
    return left


def merge_ranges(ranges: Iterable[TimeRange]) -> list[TimeRange]:
    """Sorted ranges with those that touch made one."""
    merged: list[TimeRange] = []
    for start, end in ranges:
        if merged and merged[-1].end == start:
            merged[-1] = TimeRange(merged[-1].start, end)
        else:
            merged.append(TimeRange(start, end))
    return merged


def split_ranges(
    ranges: Iterable[TimeRange], period_of: Callable[[datetime], TimeRange]
) -> dict[TimeRange, list[TimeRange]]:
    """The parts of sorted ranges by the periods they lie in, such as UTC days or months."""
    parts: dict[TimeRange, list[TimeRange]] = {}
    for start, end in ranges:
        while start < end:
            period = period_of(start)
            part = TimeRange(start, min(end, period.end))
            parts.setdefault(period, []).append(part)
            start = part.end
    return parts


def parse_start(value: TimeLike) -> datetime:
    """The minute that a start names. Raises `UsageError` if it is not a time on a whole minute."""
    moment, _ = _parse(value)
    return moment


def parse_end(value: TimeLike) -> datetime:
    """The exclusive end that a value names: a plain date includes its day, a time is exclusive.

    Raises `UsageError` if it is not a time on a whole minute.
    """
    moment, is_date = _parse(value)
    if not is_date:
        return moment
    try:
        return moment + DAY
    except OverflowError as error:
        raise UsageError(f"The end {value} lies beyond the calendar.") from error


def parse_range(start: TimeLike | None, end: TimeLike | None) -> tuple[datetime | None, datetime | None]:
    """Both ends of a range, either of which may be open. Raises `UsageError` if the end is not after the start."""
    first = None if start is None else parse_start(start)
    last = None if end is None else parse_end(end)
    if first is not None and last is not None and last <= first:
        raise UsageError(f"The range is empty: it starts at {format_time(first)} and ends at {format_time(last)}.")
    return first, last


def join_ranges(ranges: Iterable[TimeRange], reach: timedelta = timedelta()) -> list[TimeRange]:
    """Sorted ranges with neighbours joined that overlap, touch, or together span no more than ``reach``."""
    joined: list[TimeRange] = []
    for wanted in sorted(ranges):
        if joined and (wanted.start <= joined[-1].end or wanted.end - joined[-1].start <= reach):
            joined[-1] = TimeRange(joined[-1].start, max(joined[-1].end, wanted.end))
        else:
            joined.append(wanted)
    return joined


def format_time(moment: datetime) -> str:
    """``2024-01-01T00:00:00Z`` for a naive time in UTC."""
    return moment.isoformat(timespec="seconds") + "Z"


def day_of(moment: datetime) -> TimeRange:
    """The UTC day a time lies in."""
    midnight = datetime(moment.year, moment.month, moment.day)
    return TimeRange(midnight, midnight + DAY)


def week_of(moment: datetime) -> TimeRange:
    """The UTC week, from Monday on, that a time lies in."""
    monday = day_of(moment).start - moment.weekday() * DAY
    return TimeRange(monday, monday + 7 * DAY)


def month_of(moment: datetime) -> TimeRange:
    """The UTC month a time lies in."""
    first = datetime(moment.year, moment.month, 1)
    return TimeRange(first, (first + 31 * DAY).replace(day=1))


def week_number(monday: datetime) -> int:
    """How many weeks have ended when one begins, counted from the first of the calendar."""
    return (monday.toordinal() - datetime.min.toordinal()) // 7


def floor_minute(moment: datetime) -> datetime:
    """The start of the minute a time lies in."""
    return moment.replace(second=0, microsecond=0)


def utc_now() -> datetime:
    """This machine's clock, naive in UTC. The exchange's own clock decides which candles are closed."""
    return datetime.now(UTC).replace(tzinfo=None)


def _parse(value: TimeLike) -> tuple[datetime, bool]:
    moment, is_date = _read(value)
    try:
        moment = moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
    except OverflowError as error:
        raise UsageError(f"The time {value} lies beyond the calendar. {_EXPECTED}") from error
    if moment != floor_minute(moment):
        raise UsageError(f"The time {value} is not on a whole minute. {_EXPECTED}")
    return moment, is_date


def _read(value: TimeLike) -> tuple[datetime, bool]:
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
