"""What has to be asked for a range, and what that costs."""

from __future__ import annotations

from datetime import datetime

import pytest

from threadx_duck.planning import plan_symbol
from threadx_duck.times import MINUTE, TimeRange

START = datetime(2024, 1, 1)


def span(first: int, last: int) -> TimeRange:
    return TimeRange(START + first * MINUTE, START + last * MINUTE)


@pytest.mark.parametrize(
    ("minutes", "pages"),
    [(1, 1), (999, 1), (1_000, 1), (1_001, 2), (44_640, 45)],
)
def test_a_range_costs_a_page_a_thousand_minutes(minutes: int, pages: int) -> None:
    plan = plan_symbol("BTCUSDC", [span(0, minutes)], find_listing=False)
    (request,) = plan.requests
    assert (request.symbol, request.source, request.wanted) == ("BTCUSDC", "rest", span(0, minutes))
    assert (request.requests, request.weight, request.rows) == (pages, 2 * pages, minutes)
    assert request.bytes == 180 * minutes
    assert request.reason == "no conclusive request covers it"


def test_nothing_missing_is_an_empty_plan() -> None:
    plan = plan_symbol("BTCUSDC", [], find_listing=False)
    assert (plan.symbol, plan.requests, plan.find_listing) == ("BTCUSDC", (), False)


def test_the_listing_is_asked_for_as_told() -> None:
    assert plan_symbol("BTCUSDC", [span(0, 1)], find_listing=True).find_listing


@pytest.mark.parametrize(
    ("missing", "asked"),
    [
        pytest.param([(0, 10), (20, 30)], [(0, 30)], id="two that one page holds"),
        pytest.param([(0, 10), (990, 1_000)], [(0, 1_000)], id="two that just fit a page"),
        pytest.param([(0, 10), (990, 1_001)], [(0, 10), (990, 1_001)], id="two that just do not"),
        pytest.param([(0, 1), (400, 401), (999, 1_000), (1_500, 1_501)], [(0, 1_000), (1_500, 1_501)], id="several"),
        pytest.param([(0, 5_000), (5_001, 5_002)], [(0, 5_000), (5_001, 5_002)], id="one beside a long one"),
    ],
)
def test_ranges_that_one_page_holds_are_asked_together(
    missing: list[tuple[int, int]], asked: list[tuple[int, int]]
) -> None:
    plan = plan_symbol("BTCUSDC", [span(*ends) for ends in missing], find_listing=False)
    assert [request.wanted for request in plan.requests] == [span(*ends) for ends in asked]
