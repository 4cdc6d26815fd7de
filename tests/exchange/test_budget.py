"""The request budget: calls per window, pauses, the exchange's own counter. No test waits on the clock."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pyrate_limiter.clocks
import pytest

from threadx_duck.errors import DownloadError
from threadx_duck.exchange import budget as budget_module
from threadx_duck.exchange.budget import RequestBudget


class Clock(threading.Event):
    """A stop event and the time in one: waiting on it moves the time on."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000.0
        self.waited: list[float] = []
        self.stop_after_wait = False

    def monotonic(self) -> float:
        return self.now

    def wait(self, timeout: float | None = None) -> bool:
        self.waited.append(timeout or 0.0)
        self.now += timeout or 0.0
        if self.stop_after_wait:
            self.set()
        return self.is_set()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time by which the budget, and the limiter inside it, count."""
    made = Clock()
    monkeypatch.setattr(budget_module, "time", made)
    monkeypatch.setattr(budget_module, "_POLL_SECONDS", 0.0)
    monkeypatch.setattr(pyrate_limiter.clocks, "monotonic_ns", lambda: round(made.now * 1e9))
    return made


def call(budget: RequestBudget) -> None:
    with budget.call():
        pass


def is_open(budget: RequestBudget, clock: Clock) -> bool:
    """Whether one more call may be sent now; nobody waits, because the run stops instead."""
    clock.set()
    try:
        return bool(budget._limiter.try_acquire("rest", timeout=0.0))
    finally:
        clock.clear()


@pytest.mark.parametrize(("calls", "window"), [(3, 60.0), (1, 1.0), (10, 0.5)])
def test_no_window_holds_more_calls_than_allowed(clock: Clock, calls: int, window: float) -> None:
    budget = RequestBudget(calls, window, clock)
    sent: list[float] = []
    for step in range(400):
        clock.now = 1_000.0 + step * window / 40
        while is_open(budget, clock):
            sent.append(clock.now)
    assert len(sent) >= 5 * calls
    for first, beyond in zip(sent, sent[calls:], strict=False):
        assert beyond - first > window
    assert max(sent.count(moment) for moment in sent) == calls


def test_a_call_beyond_the_budget_waits_until_the_run_is_stopped(clock: Clock) -> None:
    budget = RequestBudget(2, 60.0, clock)
    call(budget)
    call(budget)
    clock.set()
    with pytest.raises(DownloadError, match=r"^The run was stopped\.$"):
        call(budget)
    assert budget.used == 2


def test_calls_of_all_threads_are_counted_together() -> None:
    budget = RequestBudget(1_000, 60.0, threading.Event())
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(call, [budget] * 200))
    assert budget.used == 200
    assert budget._in_flight == 0


def test_a_failing_call_is_counted_and_ends(clock: Clock) -> None:
    budget = RequestBudget(10, 60.0, clock)
    in_flight = []

    def fail() -> None:
        with budget.call():
            in_flight.append(budget._in_flight)
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()
    assert in_flight == [1]
    assert (budget.used, budget._in_flight) == (1, 0)


def test_a_pause_holds_the_next_call_for_its_seconds(clock: Clock) -> None:
    budget = RequestBudget(10, 60.0, clock)
    budget.pause(37.0)
    call(budget)
    assert clock.waited == [37.0]
    call(budget)
    assert clock.waited == [37.0]


def test_the_longest_of_several_pauses_holds(clock: Clock) -> None:
    budget = RequestBudget(10, 60.0, clock)
    for seconds in (5.0, 90.0, 10.0):
        budget.pause(seconds)
    call(budget)
    assert sum(clock.waited) == 90.0


def test_a_pause_that_begins_while_a_thread_waits_for_its_turn_holds_it(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = RequestBudget(10, 60.0, clock)
    acquire = budget._limiter.try_acquire

    def acquire_late(*arguments: object, **options: object) -> object:
        budget.pause(12.0)
        return acquire(*arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(budget._limiter, "try_acquire", acquire_late)
    call(budget)
    assert clock.waited == [12.0]


def test_a_stop_ends_a_pause(clock: Clock) -> None:
    budget = RequestBudget(10, 60.0, clock)
    budget.pause(3_600.0)
    clock.stop_after_wait = True
    with pytest.raises(DownloadError, match="The run was stopped"):
        call(budget)
    assert budget.used == 0


@pytest.mark.parametrize(
    ("used", "second", "paused"),
    [
        pytest.param(0, 0, 0.0, id="nothing used"),
        pytest.param(5_998, 10, 0.0, id="room for one"),
        pytest.param(5_999, 10, 50.0, id="no room"),
        pytest.param(6_000, 59, 1.0, id="at the limit"),
        pytest.param(9_000, 0, 60.0, id="above the limit"),
    ],
)
def test_used_weight_near_the_limit_pauses_until_the_next_minute(
    clock: Clock, used: int, second: int, paused: float
) -> None:
    budget = RequestBudget(10, 60.0, clock)
    budget.observe(used, second)
    call(budget)
    assert sum(clock.waited) == paused


def test_calls_in_flight_count_as_used_weight(clock: Clock) -> None:
    budget = RequestBudget(10, 60.0, clock)
    with budget.call(), budget.call():
        budget.observe(5_994, 40)
        assert budget._paused_until == 0.0
        budget.observe(5_995, 40)
        assert budget._paused_until == 1_020.0


def test_a_learned_limit_replaces_the_usual_one(clock: Clock) -> None:
    budget = RequestBudget(10, 60.0, clock)
    budget.weight_limit = 1_200
    budget.observe(1_199, 30)
    assert budget._paused_until == 1_030.0


def test_only_the_first_may_learn_the_limit(clock: Clock) -> None:
    budget = RequestBudget(10, 60.0, clock)
    assert [budget.may_learn_limit() for _ in range(3)] == [True, False, False]
