"""Ranges of minutes: their arithmetic, and the days, weeks and months of the calendar as ranges."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from threadx_duck.candles.times import DAY, EPOCH, MINUTE


class TimeRange(NamedTuple):
    """A half-open range ``[start, end)`` of minutes in UTC."""

    start: datetime
    end: datetime

    @classmethod
    def of(cls, start: datetime | None, end: datetime | None) -> TimeRange:
        """Returns the range from ``start`` to ``end``; None stands for the first or last time of `EVER`."""
        return cls(EVER.start if start is None else start, EVER.end if end is None else end)

    @property
    def minutes(self) -> int:
        """The number of minutes in the range."""
        return (self.end - self.start) // MINUTE


# Longer than the candles of any store, and within the limits of DuckDB and Python.
EVER = TimeRange(EPOCH, datetime(9999, 1, 1))


def intersect_ranges(ranges: Iterable[TimeRange], others: Iterable[TimeRange]) -> list[TimeRange]:
    """Returns the parts that are in both lists. Both must be sorted and disjoint; so is the result."""
    found: list[TimeRange] = []
    left, right = list(ranges), list(others)
    while left and right:
        common = TimeRange(max(left[0].start, right[0].start), min(left[0].end, right[0].end))
        if common.start < common.end:
            found.append(common)
        first_to_end = left if left[0].end <= right[0].end else right
        first_to_end.pop(0)
    return found


def subtract_ranges(ranges: Iterable[TimeRange], others: Iterable[TimeRange]) -> list[TimeRange]:
    """Returns the parts of ``ranges`` not in ``others``. Both must be sorted and disjoint; so is the result."""
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
        # The last of these may also reach into the next range.
        place = max(place, following - 1)
        if begin < end:
            left.append(TimeRange(begin, end))
    return left


def join_ranges(ranges: Iterable[TimeRange], reach: timedelta = timedelta()) -> list[TimeRange]:
    """Returns the ranges sorted; joins neighbours that overlap, touch, or together span at most ``reach``."""
    joined: list[TimeRange] = []
    for wanted in sorted(ranges):
        if joined and (wanted.start <= joined[-1].end or wanted.end - joined[-1].start <= reach):
            joined[-1] = TimeRange(joined[-1].start, max(joined[-1].end, wanted.end))
        else:
            joined.append(wanted)
    return joined


def split_ranges(
    ranges: Iterable[TimeRange], period_of: Callable[[datetime], TimeRange]
) -> dict[TimeRange, list[TimeRange]]:
    """Splits sorted ranges at the edges of periods, such as UTC days or months. Returns the parts by period."""
    parts: dict[TimeRange, list[TimeRange]] = {}
    for start, end in ranges:
        while start < end:
            period = period_of(start)
            part = TimeRange(start, min(end, period.end))
            parts.setdefault(period, []).append(part)
            start = part.end
    return parts


def day_of(moment: datetime) -> TimeRange:
    """Returns the UTC day that contains a time."""
    midnight = datetime(moment.year, moment.month, moment.day)
    return TimeRange(midnight, midnight + DAY)


def week_of(moment: datetime) -> TimeRange:
    """Returns the UTC week, starting on Monday, that contains a time."""
    monday = day_of(moment).start - moment.weekday() * DAY
    return TimeRange(monday, monday + 7 * DAY)


def month_of(moment: datetime) -> TimeRange:
    """Returns the UTC month that contains a time."""
    first = datetime(moment.year, moment.month, 1)
    return TimeRange(first, (first + 31 * DAY).replace(day=1))


def week_number(monday: datetime) -> int:
    """Returns how many weeks ended before ``monday``, counted from 0001-01-01."""
    return (monday.toordinal() - datetime.min.toordinal()) // 7
