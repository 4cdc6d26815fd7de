"""Times as people write them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadx_duck.candles.ranges import TimeRange, subtract_ranges
from threadx_duck.candles.times import (
    MINUTE,
    TimeLike,
    floor_minute,
    format_time,
    parse_end,
    parse_range,
    parse_start,
    utc_now,
)
from threadx_duck.errors import UsageError


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("2024-01-31", datetime(2024, 1, 31), id="date"),
        pytest.param("2024-01-31T10:30", datetime(2024, 1, 31, 10, 30), id="time"),
        pytest.param("2024-01-31 10:30", datetime(2024, 1, 31, 10, 30), id="blank"),
        pytest.param("2024-01-31T10:30Z", datetime(2024, 1, 31, 10, 30), id="zulu"),
        pytest.param("2024-01-31T10:30:00Z", datetime(2024, 1, 31, 10, 30), id="seconds"),
        pytest.param("2024-01-31T10:30:00.000000", datetime(2024, 1, 31, 10, 30), id="microseconds"),
        pytest.param("2024-01-31T10:30+02:00", datetime(2024, 1, 31, 8, 30), id="offset"),
        pytest.param("2024-01-31T10:30+0200", datetime(2024, 1, 31, 8, 30), id="offset without colon"),
        pytest.param("2024-01-31T22:30-05:30", datetime(2024, 2, 1, 4, 0), id="negative offset"),
        pytest.param("2024-02-29", datetime(2024, 2, 29), id="leap day"),
        pytest.param(date(2024, 1, 31), datetime(2024, 1, 31), id="a date"),
        pytest.param(datetime(2024, 1, 31, 10, 30), datetime(2024, 1, 31, 10, 30), id="a naive datetime"),
        pytest.param(
            datetime(2024, 1, 31, 10, 30, tzinfo=timezone(timedelta(hours=2))),
            datetime(2024, 1, 31, 8, 30),
            id="an aware datetime",
        ),
    ],
)
def test_parse_start_of_a_time_is_that_minute_in_utc(value: TimeLike, expected: datetime) -> None:
    assert parse_start(value) == expected
    assert parse_start(value).tzinfo is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        pytest.param("soon", "Cannot read the time 'soon'.", id="word"),
        pytest.param("-7d", "Cannot read the time '-7d'.", id="minus"),
        pytest.param("0d", "Cannot read the time '0d'.", id="no days"),
        pytest.param("1.5h", "Cannot read the time", id="half an hour"),
        pytest.param("1mo", "Cannot read the time", id="months"),
        pytest.param("٣d", "Cannot read the time", id="other digits back"),
        pytest.param("9999999w", "lies beyond the calendar", id="weeks before the calendar"),
        pytest.param("", "Cannot read the time ''.", id="empty"),
        pytest.param("2024-1-1", "Cannot read the time", id="short"),
        pytest.param("20240101", "Cannot read the time", id="basic"),
        pytest.param("2024-01-01T10", "Cannot read the time", id="hour alone"),
        pytest.param(" 2024-01-01", "Cannot read the time", id="blank before"),
        pytest.param("2024-01-01\n", "Cannot read the time", id="line break"),
        pytest.param("2024-W01-1", "Cannot read the time", id="week"),
        pytest.param("٢٠٢٤-01-01", "Cannot read the time", id="other digits"),
        pytest.param("2023-02-29", "There is no such time as '2023-02-29'.", id="no such day"),
        pytest.param("2024-01-01T24:30", "There is no such time", id="no such hour"),
        pytest.param("0000-01-01", "There is no such time", id="no such year"),
        pytest.param("2024-01-01T10:30:01", "is not on a whole minute", id="seconds"),
        pytest.param("2024-01-01T10:30:00.5", "is not on a whole minute", id="fraction"),
        pytest.param(datetime(2024, 1, 1, 0, 0, 1), "is not on a whole minute", id="a datetime with seconds"),
        pytest.param("0001-01-01T00:00+01:00", "lies beyond the calendar", id="before the calendar"),
    ],
)
def test_parse_start_of_anything_else_is_refused(value: TimeLike, message: str) -> None:
    with pytest.raises(UsageError, match=message.replace(".", r"\.")) as refused:
        parse_start(value)
    assert "Write 2024-01-31 or 2024-01-31T10:30" in str(refused.value)


NOW = datetime(2024, 2, 29, 13, 37, 59)


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        pytest.param("today", datetime(2024, 2, 29), datetime(2024, 3, 1), id="today"),
        pytest.param("yesterday", datetime(2024, 2, 28), datetime(2024, 2, 29), id="yesterday"),
        pytest.param("1d", datetime(2024, 2, 28), datetime(2024, 2, 29), id="a day"),
        pytest.param("30d", datetime(2024, 1, 30), datetime(2024, 1, 31), id="days"),
        pytest.param("4w", datetime(2024, 2, 1), datetime(2024, 2, 2), id="weeks"),
        pytest.param("12h", datetime(2024, 2, 29, 1, 37), datetime(2024, 2, 29, 1, 37), id="hours"),
        pytest.param("90m", datetime(2024, 2, 29, 12, 7), datetime(2024, 2, 29, 12, 7), id="minutes"),
    ],
)
def test_time_back_from_now_is_a_whole_day_or_a_minute(text: str, start: datetime, end: datetime) -> None:
    assert (parse_start(text, lambda: NOW), parse_end(text, lambda: NOW)) == (start, end)


def test_both_ends_of_a_range_count_from_one_moment_and_plain_times_from_none() -> None:
    moments = iter([NOW])
    assert parse_range("12h", "90m", lambda: next(moments)) == (
        datetime(2024, 2, 29, 1, 37),
        datetime(2024, 2, 29, 12, 7),
    )
    assert parse_range("2024-01-01", None, lambda: next(moments)) == (datetime(2024, 1, 1), None)


def test_time_back_from_now_goes_by_this_machine_unless_a_clock_is_given() -> None:
    assert timedelta(hours=12) <= utc_now() - parse_start("12h") < timedelta(hours=12, minutes=2)


def test_parse_end_of_a_date_includes_its_day() -> None:
    assert parse_end("2024-01-31") == datetime(2024, 2, 1)
    assert parse_end(date(2024, 1, 31)) == datetime(2024, 2, 1)


def test_parse_end_of_a_time_is_exclusive() -> None:
    assert parse_end("2024-01-31T00:00") == datetime(2024, 1, 31)
    assert parse_end(datetime(2024, 1, 31)) == datetime(2024, 1, 31)


def test_parse_end_of_the_last_day_is_refused() -> None:
    with pytest.raises(UsageError, match="The end 9999-12-31 lies beyond the calendar"):
        parse_end("9999-12-31")


def test_parse_range_of_one_day_is_that_day() -> None:
    assert parse_range("2024-01-31", "2024-01-31") == (datetime(2024, 1, 31), datetime(2024, 2, 1))


def test_parse_range_without_ends_is_open() -> None:
    assert parse_range(None, None) == (None, None)
    assert parse_range("2024-01-31", None) == (datetime(2024, 1, 31), None)
    assert parse_range(None, "2024-01-31") == (None, datetime(2024, 2, 1))


@pytest.mark.parametrize(
    ("start", "end"),
    [
        pytest.param("2024-01-02", "2024-01-01", id="reversed"),
        pytest.param("2024-01-02T10:00", "2024-01-02T10:00", id="equal"),
        pytest.param("2024-01-02T10:00Z", "2024-01-02T11:30+02:00", id="reversed by its offset"),
    ],
)
def test_parse_range_that_is_empty_is_refused(start: str, end: str) -> None:
    with pytest.raises(UsageError, match="The range is empty: it starts at 2024-01-02T") as refused:
        parse_range(start, end)
    assert str(refused.value).endswith("Z.")


def test_time_range_counts_its_minutes() -> None:
    assert TimeRange(datetime(2024, 1, 1), datetime(2024, 1, 2)).minutes == 1_440
    assert TimeRange(datetime(2024, 1, 1), datetime(2024, 1, 1)).minutes == 0


def test_format_time_ends_in_z_and_has_no_fraction() -> None:
    assert format_time(datetime(2024, 1, 1, 10, 30)) == "2024-01-01T10:30:00Z"
    assert format_time(datetime(2024, 1, 1, 10, 30, 1, 999_999)) == "2024-01-01T10:30:01Z"


def test_floor_minute_drops_seconds() -> None:
    assert floor_minute(datetime(2024, 1, 1, 10, 30, 59, 999_999)) == datetime(2024, 1, 1, 10, 30)


def test_utc_now_is_naive_and_in_utc() -> None:
    before = datetime.now(UTC).replace(tzinfo=None)
    now = utc_now()
    assert now.tzinfo is None
    assert before <= now <= datetime.now(UTC).replace(tzinfo=None)


_minutes = st.datetimes(datetime(1900, 1, 1), datetime(9000, 1, 1)).map(floor_minute)
_offsets = st.integers(-12 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(_minutes, _offsets)
def test_parse_start_reads_every_offset_of_a_moment_alike(moment: datetime, offset: timezone) -> None:
    local = moment.replace(tzinfo=UTC).astimezone(offset)
    assert parse_start(local) == moment
    assert parse_start(local.isoformat()) == moment
    assert parse_start(format_time(moment)) == moment


@given(st.dates(date(1900, 1, 1), date(9000, 1, 1)))
def test_a_date_as_both_ends_covers_its_1440_minutes(day: date) -> None:
    start, end = parse_range(day.isoformat(), day)
    assert start is not None
    assert end is not None
    assert TimeRange(start, end).minutes == 1_440


@given(st.one_of(st.text(), st.from_regex(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2})?(Z|[+-]\d{2}:\d{2})?)?")))
def test_any_text_is_a_whole_minute_or_a_usage_error(text: str) -> None:
    for parse in (parse_start, parse_end):
        try:
            moment = parse(text)
        except UsageError:
            continue
        assert moment.tzinfo is None
        assert (moment - datetime.min) % MINUTE == timedelta()


def disjoint_ranges() -> st.SearchStrategy[list[TimeRange]]:
    """Sorted ranges that do not overlap, some of which touch."""
    moments = st.lists(st.integers(0, 60), unique=True, max_size=16).map(sorted)
    return moments.map(
        lambda found: [
            TimeRange(datetime(2024, 1, 1) + first * MINUTE, datetime(2024, 1, 1) + last * MINUTE)
            for first, last in zip(found[::2], found[1::2], strict=False)
        ]
    )


def minutes_of(ranges: list[TimeRange]) -> set[datetime]:
    return {start + step * MINUTE for start, end in ranges for step in range((end - start) // MINUTE)}


@pytest.mark.slow
@given(disjoint_ranges(), disjoint_ranges())
def test_subtracted_ranges_hold_the_minutes_of_the_first_alone(
    ranges: list[TimeRange], others: list[TimeRange]
) -> None:
    left = subtract_ranges(ranges, others)
    assert minutes_of(left) == minutes_of(ranges) - minutes_of(others)
    assert left == sorted(left)
    assert all(one.end <= other.start for one, other in pairwise(left))
    assert all(start < end for start, end in left)


def test_subtracting_from_many_ranges_splits_each() -> None:
    start = datetime(2024, 1, 1)
    ranges = [TimeRange(start + 4 * step * MINUTE, start + (4 * step + 3) * MINUTE) for step in range(5_000)]
    others = [TimeRange(start + (4 * step + 1) * MINUTE, start + (4 * step + 2) * MINUTE) for step in range(5_000)]
    assert len(subtract_ranges(ranges, others)) == 10_000
    assert subtract_ranges(ranges, []) == ranges
    assert subtract_ranges([], others) == []
    assert subtract_ranges(ranges, [TimeRange(start, ranges[-1].end)]) == []
