"""`threadx_duck.follow` and ``threadx follow``: hours of the loopback exchange's clock, minute after minute."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from threadx_duck import IngestionManager, StoreError, UsageError
from threadx_duck.audit.checks import run_checks
from threadx_duck.cli.main import run
from threadx_duck.config import Settings
from threadx_duck.follow import Follower, PublishSchedule
from threadx_duck.simulator import LoopbackExchange, Market
from threadx_duck.upkeep.publish import publish

pytestmark = pytest.mark.slow

BEGIN = datetime(2024, 1, 2, 22)


@pytest.fixture
def manager(settings: Settings, exchange: LoopbackExchange) -> Iterator[IngestionManager]:
    """Two symbols are stored up to two hours before midnight, and it is ten seconds later by the exchange."""
    exchange.now = BEGIN.replace(second=10)
    with IngestionManager(settings) as made:
        made.update_assets_batch(["BTCUSDC", "ETHUSDC"], "2024-01-02")
        yield made


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def follow_for(manager: IngestionManager, exchange: LoopbackExchange, notes: list[str]) -> Callable[..., Follower]:
    """Follows for so many hours of the exchange's clock, which moves on whenever the follower waits."""

    def follow(hours: float, at: Callable[[datetime], None] = lambda _: None) -> Follower:
        end = exchange.now + timedelta(hours=hours)

        def wait(seconds: float) -> None:
            assert 0 < seconds <= 3_600
            exchange.advance(timedelta(seconds=seconds))
            at(exchange.now.replace(tzinfo=None))
            if exchange.now >= end:
                follower.stop()

        follower = Follower(manager, note=notes.append, wait=wait)
        follower.run()
        return follower

    return follow


def _query(manager: IngestionManager, statement: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(manager.store.path), read_only=True) as connection:
        return connection.execute(statement).fetchall()


def _first_fault(manager: IngestionManager) -> list[str]:
    return [finding.name for finding in run_checks(manager.store) if finding.rows.num_rows]


def test_follow_over_midnight_stores_every_minute_in_a_row_a_day(
    manager: IngestionManager, follow_for: Callable[..., Follower], exchange: LoopbackExchange, notes: list[str]
) -> None:
    before = _query(manager, "select count(*) from requests")[0][0]
    exchange.advance(timedelta(minutes=90))
    follower = follow_for(1)
    assert follower.rows_added == 2 * 150
    stored = "select symbol, count(*), max(open_time) from candles_1m group by symbol order by symbol"
    # Quiet minutes are candles, too.
    last = datetime(2024, 1, 3, 0, 29)
    assert _query(manager, stored) == [("BTCUSDC", 1470, last), ("ETHUSDC", 1470, last)]
    after = _query(manager, "select count(*) from requests")[0][0]
    # The ingest's row of the first day goes on; the second day is a row of its own.
    assert after == before + 2
    assert notes == []
    assert _first_fault(manager) == []
    assert _query(manager, "select count(*) from gaps") == [(0,)]


def test_follow_continues_a_row_with_all_its_evidence(
    manager: IngestionManager, follow_for: Callable[..., Follower], exchange: LoopbackExchange
) -> None:
    follow_for(0.5)
    row = _query(
        manager,
        "select range_start, range_end, pages, rows_received, rows_added, requested_at, length(sha256), url"
        " from requests where symbol = 'BTCUSDC' order by range_end desc limit 1",
    )[0]
    end = datetime(2024, 1, 2, 22, 30)
    assert row[:2] == (datetime(2024, 1, 2), end)
    assert row[2] == 2 + 30
    assert row[3] == row[4] == 22 * 60 + 30
    assert row[5] == end + timedelta(seconds=2)
    assert row[6] == 64
    named = _query(manager, "select count(distinct request_id) from candles_1m where symbol = 'BTCUSDC'")
    assert named == [(1,)]


def test_follow_through_a_network_loss_says_so_once_and_makes_up_for_it(
    manager: IngestionManager, follow_for: Callable[..., Follower], exchange: LoopbackExchange, notes: list[str]
) -> None:
    def break_the_network(now: datetime) -> None:
        if now.minute == 10:
            exchange.fail("drop", times=None)
        if now.minute == 25:
            exchange.clear_faults()

    follow_for(0.6, break_the_network)
    assert len(notes) == 2
    assert "it is said once" in notes[0]
    assert notes[1] == "Up to date again."
    assert _query(manager, "select count(*) from gaps") == [(0,)]
    assert _query(manager, "select max(open_time) from candles_1m") == [(datetime(2024, 1, 2, 22, 35),)]


def test_follow_after_a_suspend_catches_up_in_one_round(
    manager: IngestionManager, follow_for: Callable[..., Follower], exchange: LoopbackExchange
) -> None:
    def suspend(now: datetime) -> None:
        if now.minute == 5:
            exchange.advance(timedelta(hours=20))

    asked = len(exchange.requests.klines)
    follow_for(20.2, suspend)
    assert len(exchange.requests.klines) - asked < 2 * 25
    assert _query(manager, "select count(*) from gaps") == [(0,)]
    assert _first_fault(manager) == []


def test_follow_with_a_failing_symbol_goes_on_with_the_others(
    manager: IngestionManager, follow_for: Callable[..., Follower], exchange: LoopbackExchange, notes: list[str]
) -> None:
    exchange.fail(400, times=None, match="ETHUSDC", code=-1121, text="Invalid symbol.")
    follow_for(0.2)
    assert [note.partition(":")[0] for note in notes] == ["ETHUSDC"]
    last = _query(manager, "select symbol, max(open_time) from candles_1m group by symbol order by symbol")
    assert last == [("BTCUSDC", datetime(2024, 1, 2, 22, 11)), ("ETHUSDC", datetime(2024, 1, 2, 21, 59))]


def test_follow_refused_by_the_host_asks_ever_less_often(
    follow_for: Callable[..., Follower], exchange: LoopbackExchange, notes: list[str]
) -> None:
    exchange.fail(451, times=None)
    asked = len(exchange.requests)
    follow_for(3)
    # After 5, 10, 20 and 40 minutes, then every hour.
    assert len(exchange.requests) - asked <= 7
    assert len(notes) == 1


def test_follow_while_another_process_holds_the_store_goes_on_later(
    manager: IngestionManager, follow_for: Callable[..., Follower], notes: list[str]
) -> None:
    others: list[subprocess.Popen[str]] = []

    def hold(now: datetime) -> None:
        if now.minute == 3:
            others.append(_hold(manager.store.path))
        if now.minute == 5:
            others[0].communicate()

    follow_for(0.2, hold)
    assert "is held by" in notes[0]
    assert notes[1:] == ["Up to date again."]
    assert _query(manager, "select count(*) from gaps") == [(0,)]


def _hold(path: Path) -> subprocess.Popen[str]:
    """Another process that holds the store open until its input ends."""
    program = f"import duckdb, sys; c = duckdb.connect({str(path)!r}); print('held', flush=True); sys.stdin.read()"
    holder = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def test_follow_with_the_clock_running_fast_keeps_up(
    manager: IngestionManager, made_market: Market, settings: Settings
) -> None:
    """The clock runs on while it works, by twenty minutes per second: a round may bring several minutes."""
    speed = 1_200.0
    with LoopbackExchange(Market(made_market), now=BEGIN.replace(tzinfo=UTC), speed=speed) as running:
        changed = replace(settings, api=replace(settings.api, base_url=running.url, rate_limit_calls=1_000_000))
        with IngestionManager(changed) as own:

            def stop_after_two_hours(clock: datetime) -> None:
                if clock >= BEGIN + timedelta(hours=2):
                    follower.stop()

            follower = Follower(own, wait=lambda seconds: time.sleep(seconds / speed), after_round=stop_after_two_hours)
            follower.run()
    assert follower.rows_added >= 60
    assert _query(manager, "select count(*) from gaps") == [(0,)]
    assert _first_fault(manager) == []


def test_follow_once_catches_up_and_ends(
    manager: IngestionManager, exchange: LoopbackExchange, capsys: pytest.CaptureFixture[str]
) -> None:
    exchange.advance(timedelta(minutes=7))
    assert run(["follow", "BTCUSDC", "--once"]) == 0
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "note: 7 candles added.\n")


def test_follow_once_without_a_network_fails(
    manager: IngestionManager, exchange: LoopbackExchange, capsys: pytest.CaptureFixture[str]
) -> None:
    exchange.fail(503, times=None)
    assert run(["follow", "--once"]) == 1
    assert "failed to answer" in capsys.readouterr().err


def test_follow_publishes_the_read_copy_on_a_schedule(
    manager: IngestionManager, exchange: LoopbackExchange, tmp_path: Path
) -> None:
    target = tmp_path / "bi" / "read.duckdb"
    target.parent.mkdir()
    publish = PublishSchedule(
        manager.store, replace(manager.settings.store, read_copy=str(target)), timedelta(minutes=15)
    )
    taken: list[int] = []

    def publish_and_look(clock: datetime) -> None:
        publish(clock)
        taken.append(target.stat().st_ino)

    follower = Follower(
        manager, wait=lambda seconds: exchange.advance(timedelta(seconds=seconds)), after_round=publish_and_look
    )
    for _ in range(32):
        follower.run_round()
        exchange.advance(timedelta(minutes=1))
    assert len(set(taken)) == 3
    with duckdb.connect(str(target), read_only=True) as copy:
        last = copy.execute("select max(open_time) from candles_1m").fetchone()
    assert last == (datetime(2024, 1, 2, 22, 29),)


def test_follow_with_a_read_copy_that_cannot_be_written_notes_it_once(
    manager: IngestionManager, tmp_path: Path, notes: list[str]
) -> None:
    (tmp_path / "mine.txt").write_text("no copy")
    os.utime(tmp_path / "mine.txt", (0, 0))
    publish = PublishSchedule(
        manager.store, replace(manager.settings.store, read_copy=str(tmp_path / "mine.txt")), timedelta(0), notes.append
    )
    for minute in range(3):
        publish(BEGIN + timedelta(minutes=minute))
    assert len(notes) == 1
    assert "The read copy is as old as before" in notes[0]


def test_follow_of_a_symbol_that_is_not_stored_is_refused(manager: IngestionManager) -> None:
    with pytest.raises(UsageError, match="Not stored: SOLUSDC"):
        Follower(manager, ["SOLUSDC"]).run()


def test_follow_without_a_store_is_refused(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["follow"]) == 2
    assert "Nothing is stored" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("number", "code"),
    [pytest.param(signal.SIGTERM, 0, id="SIGTERM"), pytest.param(signal.SIGINT, 130, id="Ctrl-C")],
)
def test_follow_ends_cleanly_on_a_signal(
    number: signal.Signals, code: int, manager: IngestionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = _signal_after_a_round(monkeypatch, number)
    assert run(["--quiet", "follow"]) == code
    assert rounds == [True]


@pytest.mark.parametrize(
    ("number", "code"),
    [pytest.param(signal.SIGTERM, 0, id="SIGTERM"), pytest.param(signal.SIGINT, 130, id="Ctrl-C")],
)
def test_follow_that_is_stopped_publishes_what_is_new(
    number: signal.Signals,
    code: int,
    manager: IngestionManager,
    exchange: LoopbackExchange,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    copy = tmp_path / "read.duckdb"
    publish(manager.store, manager.settings.store, copy)
    given = (tmp_path / "paths.toml").read_text()
    (tmp_path / "paths.toml").write_text(given.replace("[data.store]\n", '[data.store]\nread_copy = "read.duckdb"\n'))
    exchange.advance(timedelta(minutes=5))
    _signal_after_a_round(monkeypatch, number)
    assert run(["--quiet", "follow"]) == code
    with duckdb.connect(str(copy), read_only=True) as connection:
        last = connection.execute("select max(open_time) from candles_1m").fetchone()
    assert last == (datetime(2024, 1, 2, 22, 4),)
    # Published once, and a stop with nothing new leaves the copy alone.
    before = copy.stat().st_ino
    assert run(["--quiet", "follow"]) == code
    assert copy.stat().st_ino == before


def test_follow_that_fails_does_not_publish(
    manager: IngestionManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published: list[str] = []

    def fail(self: Follower) -> bool:
        raise StoreError("The disk is full.")

    monkeypatch.setattr(Follower, "run_round", fail)
    monkeypatch.setattr(PublishSchedule, "finish", lambda self: published.append("published"))
    assert run(["--quiet", "follow"]) == 1
    assert published == []


def _signal_after_a_round(monkeypatch: pytest.MonkeyPatch, number: signal.Signals) -> list[bool]:
    """Lets a process signal itself after each round; the list holds how the rounds went."""
    rounds: list[bool] = []
    run_round = Follower.run_round

    def run_and_signal(self: Follower) -> bool:
        rounds.append(run_round(self))
        os.kill(os.getpid(), number)
        return rounds[-1]

    monkeypatch.setattr(Follower, "run_round", run_and_signal)
    return rounds
