from __future__ import annotations

import itertools
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from threadx_duck.archive.names import ArchiveFile
from threadx_duck.candles.ranges import TimeRange, intersect_ranges, join_ranges
from threadx_duck.candles.times import MINUTE
from threadx_duck.download.plan import SOURCES, Costs, PlannedRequest, Planner

CLOCK = datetime(2024, 5, 20, 12, 30)
AUTO = Planner(CLOCK)


def plan(*missing: tuple[datetime, datetime], planner: Planner = AUTO) -> tuple[PlannedRequest, ...]:
    return planner.plan("BTCUSDC", [TimeRange(*span) for span in missing]).requests


def shape(requests: tuple[PlannedRequest, ...]) -> list[tuple[str, datetime, datetime]]:
    return [(request.source, *request.wanted) for request in requests]


def test_whole_past_months_come_as_monthly_files() -> None:
    assert shape(plan((datetime(2024, 2, 1), datetime(2024, 4, 1)))) == [
        ("archive_monthly", datetime(2024, 2, 1), datetime(2024, 3, 1)),
        ("archive_monthly", datetime(2024, 3, 1), datetime(2024, 4, 1)),
    ]


def test_running_month_comes_as_daily_files_with_a_rest_tail() -> None:
    requests = plan((datetime(2024, 5, 1), datetime(2024, 5, 20, 12, 30)))
    assert [request.source for request in requests] == ["archive_daily"] * 18 + ["rest"]
    assert requests[-1].wanted == (datetime(2024, 5, 19), datetime(2024, 5, 20, 12, 30))
    assert requests[-1].reason == "too recent for the archive"


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        pytest.param([(datetime(2024, 2, 3, 4), datetime(2024, 2, 3, 5))], ["rest"], id="an hour"),
        pytest.param([(datetime(2024, 2, 3), datetime(2024, 2, 5))], ["archive_daily"] * 2, id="two days"),
        pytest.param([(datetime(2024, 2, 3), datetime(2024, 2, 25))], ["archive_monthly"], id="three weeks"),
        pytest.param(
            [(datetime(2024, 2, d, 1), datetime(2024, 2, d, 2)) for d in range(1, 25)],
            ["archive_monthly"],
            id="an hour of each of many days",
        ),
        pytest.param(
            [(datetime(2024, 2, 3, h), datetime(2024, 2, 3, h, 5)) for h in (1, 7, 13)], ["rest"], id="within a page"
        ),
        pytest.param([(datetime(2024, 2, 29, 20), datetime(2024, 3, 1, 4))], ["rest"], id="over the end of a month"),
    ],
)
def test_part_of_a_month_comes_from_what_is_cheapest(
    missing: list[tuple[datetime, datetime]], expected: list[str]
) -> None:
    assert [request.source for request in plan(*missing)] == expected


def test_plan_over_rest_alone_has_no_files() -> None:
    requests = plan((datetime(2024, 2, 1), datetime(2024, 4, 1)), planner=Planner(CLOCK, SOURCES["rest"]))
    assert [(request.source, request.requests, request.weight) for request in requests] == [("rest", 87, 174)]


def test_plan_over_the_archive_alone_leaves_out_the_running_day() -> None:
    requests = plan((datetime(2024, 5, 18), CLOCK), planner=Planner(CLOCK, SOURCES["archive"]))
    assert shape(requests) == [
        ("archive_daily", datetime(2024, 5, 18), datetime(2024, 5, 19)),
        ("archive_daily", datetime(2024, 5, 19), datetime(2024, 5, 20)),
    ]


def test_file_known_to_be_absent_is_not_asked_for() -> None:
    absent = {ArchiveFile("archive_monthly", "BTCUSDC", datetime(2024, 2, 1))}
    requests = plan((datetime(2024, 2, 1), datetime(2024, 3, 1)), planner=Planner(CLOCK, absent=absent))
    assert [request.source for request in requests] == ["archive_daily"] * 29


def test_kept_file_costs_no_request() -> None:
    kept = {ArchiveFile("archive_monthly", "BTCUSDC", datetime(2024, 2, 1))}
    (request,) = plan((datetime(2024, 2, 1), datetime(2024, 3, 1)), planner=Planner(CLOCK, kept=kept))
    assert (request.source, request.requests, request.bytes, request.reason) == (
        "archive_monthly",
        0,
        0,
        "the file was kept",
    )


def test_tight_request_budget_makes_files_cheaper() -> None:
    slow = Planner(CLOCK, costs=Costs(rest_call=10.0))
    assert [r.source for r in plan((datetime(2024, 2, 3, 4), datetime(2024, 2, 3, 5)), planner=slow)] == [
        "archive_daily"
    ]


def test_request_says_what_it_costs() -> None:
    (request,) = plan((datetime(2024, 2, 1), datetime(2024, 3, 1)))
    assert (request.requests, request.weight, request.rows) == (2, 0, 29 * 1440)
    assert request.bytes == 29 * 1440 * 55
    assert request.seconds == pytest.approx(0.06 + request.bytes * 1e-7 + request.rows * 1e-6)


@pytest.mark.parametrize(
    ("name", "period"),
    [
        ("BTCUSDC-1m-2024-02.zip", (datetime(2024, 2, 1), datetime(2024, 3, 1))),
        ("BTCUSDC-1m-2024-12-31.zip", (datetime(2024, 12, 31), datetime(2025, 1, 1))),
        ("BTCUSDC-1m-2024-12.csv", (datetime(2024, 12, 1), datetime(2025, 1, 1))),
        ("BTCUSDC-1h-2024-12.zip", None),
        ("BTCUSDC-1m-2024-13.zip", None),
        ("../BTCUSDC-1m-2024-12.zip", None),
        ("notes.zip", None),
    ],
)
def test_file_name_tells_its_period(name: str, period: tuple[datetime, datetime] | None) -> None:
    file = ArchiveFile.of_name(name)
    assert (None if file is None else tuple(file.period)) == period


@pytest.mark.parametrize("symbol", ["BTCUSDC", "../..", "..", "a/b", "币安USDT", "A B%"])
def test_key_of_any_symbol_stays_in_its_folder(symbol: str) -> None:
    file = ArchiveFile("archive_monthly", symbol, datetime(2024, 2, 1))
    parts = file.key.split("/")
    assert len(parts) == 7
    assert not {"..", ".", ""} & set(parts)
    assert symbol in {"..", "../.."} or ArchiveFile.of_name(file.name) == file


MINUTES = 400 * 1440
ORIGIN = CLOCK - timedelta(minutes=MINUTES)


@st.composite
def missing_ranges(draw: st.DrawFn) -> list[TimeRange]:
    cuts = sorted(draw(st.lists(st.integers(0, MINUTES), min_size=2, max_size=24, unique=True)))
    spans = [
        TimeRange(ORIGIN + start * MINUTE, ORIGIN + end * MINUTE)
        for start, end in zip(cuts[::2], cuts[1::2], strict=False)
    ]
    return [span for span in spans if span.start < span.end]


@settings(deadline=None, max_examples=60)
@given(missing_ranges(), st.sampled_from(["auto", "rest"]))
def test_plan_is_for_exactly_the_missing_ranges_in_time_order(missing: list[TimeRange], choice: str) -> None:
    requests = Planner(CLOCK, SOURCES[choice]).plan("BTCUSDC", missing).requests
    planned = [part for request in requests for part in request.missing]
    assert join_ranges(planned) == join_ranges(missing)
    assert all(before.wanted.end <= after.wanted.start for before, after in itertools.pairwise(requests))
    for request in requests:
        assert request.wanted == (request.missing[0].start, request.missing[-1].end)
        assert request.file is None or intersect_ranges([request.wanted], [request.file.period]) == [request.wanted]


@settings(deadline=None, max_examples=40)
@given(missing_ranges())
def test_choosing_is_never_dearer_than_rest_alone(missing: list[TimeRange]) -> None:
    chosen = Planner(CLOCK).plan("BTCUSDC", missing).requests
    rest = Planner(CLOCK, SOURCES["rest"]).plan("BTCUSDC", missing).requests
    # REST joins pages over the end of a month, where the choice is made anew: at most one call per month.
    slack = 0.05 * 14
    assert sum(r.seconds for r in chosen) <= sum(r.seconds for r in rest) + slack
