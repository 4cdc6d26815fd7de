"""Several processes on one lake, and what becomes of it when one of them or PostgreSQL dies."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.lake.conftest import Threadx, write_settings
from tests.lake.server import Server
from tests.support.processes import PATIENCE, run_python, run_threadx, start_threadx
from threadx_duck.audit.checks import run_checks
from threadx_duck.config import Settings, get_settings
from threadx_duck.errors import StoreConflictError, StoreLockedError
from threadx_duck.simulator import LoopbackExchange
from threadx_duck.storage.session import Session
from threadx_duck.storage.store import Store
from threadx_duck.upkeep.compact import compact

SYMBOLS = ("BTCUSDC", "ETHUSDC")
RANGE = ("--start", "2024-01-01", "--source", "rest")
MINUTES = 4_200

COMMANDS = [
    ("status",),
    ("gaps",),
    ("verify", "-t", "1h"),
    ("fingerprint",),
    ("remove", "BTCUSDC", "--yes"),
    ("query", "select count(*) from candles_1h"),
    ("compact",),
    ("doctor",),
    ("migrate", "back.duckdb"),
]

COUNT = "select count(*), count(distinct (symbol, open_time)) from candles_1m"

# Ends the process, as the operating system would, when it has run a statement.
KILLED_AT = """
import os, sys
from threadx_duck.cli.main import run
from threadx_duck.upkeep.compact import compact
from threadx_duck.storage.session import Session

original, left = Session.run, [int(sys.argv[2])]

def run_statement(self, name, **parameters):
    rows = original(self, name, **parameters)
    if name == sys.argv[1]:
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), 9)
    return rows

Session.run = run_statement
run(sys.argv[3:])
"""

# Stops PostgreSQL and waits until it is gone, at a moment of a command. The file holds the number of its process.
STOPPED_AT = """
import os, signal, sys, time
from pathlib import Path
from threadx_duck.storage import lake
from threadx_duck.cli.main import run
from threadx_duck.storage.session import Session

moment, file = sys.argv[1], Path(sys.argv[2])

def stopping(original, left):
    def call(*arguments, **parameters):
        nonlocal left
        answer = original(*arguments, **parameters)
        left -= 1
        if not left:
            os.kill(int(file.read_text().split()[0]), signal.SIGQUIT)
            while file.exists():
                time.sleep(0.01)
        return answer
    return call

if moment == "attached":
    lake.attach_lake = stopping(lake.attach_lake, 1)
else:
    # The first statement asks what the store is.
    Session.run = stopping(Session.run, int(moment))
sys.exit(run(sys.argv[3:]))
"""


def _ask(settings: Settings, statement: str) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in Store(settings.store).query_user_sql(statement).to_pylist()]


def _faults(settings: Settings) -> list[str]:
    return [finding.name for finding in run_checks(Store(settings.store)) if finding.rows.num_rows]


@contextmanager
def _reading(settings: Settings) -> Iterator[list[tuple[int, int]]]:
    """Reads all the while: how many candles there were each time, and how many different ones."""
    seen: list[tuple[int, int]] = []
    done = threading.Event()

    def read() -> None:
        store = Store(settings.store)
        while not done.is_set():
            if store.exists:
                seen.extend(tuple(row.values()) for row in store.query_user_sql(COUNT).to_pylist())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield seen
    finally:
        done.set()
        reader.join(PATIENCE)


@pytest.mark.parametrize(
    "chosen",
    [
        pytest.param((SYMBOLS, SYMBOLS), id="same"),
        pytest.param(((SYMBOLS[0],), (SYMBOLS[1],)), id="disjoint"),
    ],
)
def test_two_processes_and_a_reader_lose_nothing_and_store_nothing_twice(
    lake_settings: Settings, tmp_path: Path, chosen: tuple[tuple[str, ...], ...]
) -> None:
    with _reading(lake_settings) as seen:
        # Neither finds a lake: one of the two makes it.
        processes = [start_threadx("ingest", *symbols, *RANGE, "--json", folder=tmp_path) for symbols in chosen]
        outputs = [process.communicate(timeout=PATIENCE) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    documents = [orjson.loads(out) for out, _ in outputs]
    assert sum(document["rows_added"] for document in documents) == len(SYMBOLS) * MINUTES
    assert _ask(
        lake_settings, "select symbol, count(*), count(distinct open_time) from candles_1m group by all order by all"
    ) == [(symbol, MINUTES, MINUTES) for symbol in SYMBOLS]
    assert _ask(lake_settings, "select count(*) - count(distinct request_id) from requests") == [(0,)]
    assert _faults(lake_settings) == []
    assert [count for count, _ in seen] == sorted(different for _, different in seen)


def test_small_commits_of_many_processes_end_up_as_one_store(
    lake_settings: Settings, exchange: LoopbackExchange, tmp_path: Path
) -> None:
    assert run_threadx("ingest", *SYMBOLS, *RANGE, "--end", "2024-01-01", folder=tmp_path).returncode == 0
    ends = ("2024-01-02T06:00", "2024-01-02T12:00", "2024-01-02T12:00", "2024-01-03")
    processes = [start_threadx("ingest", "--end", end, "--source", "rest", folder=tmp_path) for end in ends]
    outputs = [process.communicate(timeout=2 * PATIENCE) for process in processes]
    assert [process.returncode for process in processes] == [0] * len(ends), outputs
    assert _ask(
        lake_settings, "select symbol, count(*), count(distinct open_time) from candles_1m group by all order by all"
    ) == [(symbol, MINUTES, MINUTES) for symbol in SYMBOLS]
    assert _faults(lake_settings) == []


def test_compactions_disturb_neither_writers_nor_readers(lake_settings: Settings, tmp_path: Path) -> None:
    store = Store(lake_settings.store)
    assert run_threadx("ingest", *SYMBOLS, *RANGE, "--end", "2024-01-01", folder=tmp_path).returncode == 0
    with _reading(lake_settings) as seen:
        for end in ("2024-01-02T12:00", "2024-01-03"):
            writer = start_threadx("ingest", "--end", end, "--source", "rest", folder=tmp_path)
            while writer.poll() is None:
                compact(store)
            assert writer.returncode == 0, writer.communicate()
            writer.communicate()
    assert _ask(lake_settings, COUNT) == [(len(SYMBOLS) * MINUTES,) * 2]
    assert _faults(lake_settings) == []
    assert seen
    assert [count for count, _ in seen] == sorted(different for _, different in seen)


@pytest.mark.parametrize(
    "statement",
    ["append/insert_all_candles", "append/insert_requests", "lake/partition_candles", "lake/inline_small_commits"],
)
def test_killed_in_a_commit_it_leaves_nothing_half_done_and_no_lock(
    lake_settings: Settings, tmp_path: Path, threadx: Threadx, statement: str
) -> None:
    killed = run_python(KILLED_AT, statement, "1", "ingest", *SYMBOLS, *RANGE, folder=tmp_path)
    assert killed.returncode == -9, killed.stderr
    store = Store(lake_settings.store)
    if store.exists:
        assert _ask(lake_settings, "select count(*) from candles_1m") == [(0,)]
    answer = threadx("ingest", *SYMBOLS, *RANGE)
    assert answer.code == 0, answer
    assert "Waiting" not in answer.err
    assert _ask(lake_settings, "select count(*) from candles_1m") == [(len(SYMBOLS) * MINUTES,)]
    assert _faults(lake_settings) == []


def test_postgres_that_stops_in_a_commit_is_told_and_loses_nothing(
    server: Server, lake_settings: Settings, threadx: Threadx
) -> None:
    assert threadx("ingest", "BTCUSDC", *RANGE, "--end", "2024-01-01").code == 0
    original = Session.run

    def stopping(session: Session, name: str, **parameters: Any) -> list[tuple[Any, ...]]:
        rows = original(session, name, **parameters)
        if name == "append/insert_requests":
            server.stop()
        return rows

    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Session, "run", stopping)
            stopped = threadx("ingest", *SYMBOLS, *RANGE)
        meanwhile = threadx("status")
    finally:
        server.start()
    for answer in (stopped, meanwhile):
        assert answer.code == 1
        sentence = answer.err.splitlines()[-1]
        assert sentence.startswith(f"threadx: error: PostgreSQL at 127.0.0.1:{server.port} ")
        assert "What was stored before stays; the same command continues from there." in sentence
    assert _ask(lake_settings, "select symbol, count(*) from candles_1m group by all") == [("BTCUSDC", 1_320)]
    assert threadx("ingest", *SYMBOLS, *RANGE).code == 0
    assert _ask(lake_settings, "select count(*) from candles_1m") == [(len(SYMBOLS) * MINUTES,)]
    assert _faults(lake_settings) == []


def test_who_changes_a_symbol_keeps_out_who_changes_the_same_one_only(lake_settings: Settings) -> None:
    waits: list[str] = []
    first, second = Store(lake_settings.store), Store(lake_settings.store, on_wait=waits.append)
    first.make()
    order: list[str] = []
    inside, leave = threading.Event(), threading.Event()

    def hold(session: Session) -> None:
        inside.set()
        leave.wait(PATIENCE)
        order.append("first")

    def change(name: str) -> Callable[[Session], None]:
        return lambda _: order.append(name)

    holder = threading.Thread(target=lambda: first.change(("A", "B"), hold))
    holder.start()
    inside.wait(PATIENCE)
    second.change(("C",), change("another symbol"))
    waiter = threading.Thread(target=lambda: second.change(("B",), change("the same symbol")))
    waiter.start()
    while not waits:
        waiter.join(0.01)
    leave.set()
    holder.join(PATIENCE)
    waiter.join(PATIENCE)
    assert order == ["another symbol", "first", "the same symbol"]
    assert len(waits) == 1
    assert "changing the same symbols" in waits[0]


@pytest.mark.parametrize("patience", [0.0, 0.2])
def test_wait_for_a_symbol_ends(
    lake_settings: Settings, tmp_path: Path, exchange: LoopbackExchange, address: str, patience: float
) -> None:
    write_settings(tmp_path, exchange, address, lock_timeout_seconds=patience)
    first, second = Store(lake_settings.store), Store(get_settings().store)

    def hold(_: Session) -> None:
        second.change(("A",), lambda _: None)

    with pytest.raises(StoreLockedError) as caught:
        first.change(("A",), hold)
    assert "is changing the same symbols" in str(caught.value)


def test_conflict_is_tried_again_and_told_in_the_end(lake_settings: Settings) -> None:
    store, other = Store(lake_settings.store), Store(lake_settings.store)
    store.make()
    tries: list[int] = []

    def conflict(session: Session, until: int) -> None:
        tries.append(1)
        session.run("store/set_published", published_at=None, published_from=None)
        if len(tries) < until:
            other.change((), lambda s: s.run("store/set_published", published_at=None, published_from=None))

    store.change((), lambda session: conflict(session, 3))
    assert len(tries) == 3
    impatient = Store(replace(lake_settings.store, lock_timeout_seconds=0.0))
    with pytest.raises(StoreConflictError) as caught:
        impatient.change((), lambda session: conflict(session, 99))
    assert "changed by another process at the same time" in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "moment"),
    [
        *((command, moment) for command in COMMANDS for moment in ("attached", "1")),
        # The others run no more than two statements.
        *((command, "2") for command in COMMANDS if command[0] not in {"gaps", "query"}),
    ],
    ids=lambda part: part if isinstance(part, str) else part[0],
)
def test_postgres_that_stops_under_a_command_is_told_in_one_line(
    server: Server, lake_settings: Settings, tmp_path: Path, threadx: Threadx, arguments: tuple[str, ...], moment: str
) -> None:
    assert threadx("ingest", "BTCUSDC", *RANGE, "--end", "2024-01-01").code == 0
    try:
        ended = run_python(STOPPED_AT, moment, str(server.process), *arguments, folder=tmp_path)
    finally:
        server.start()
    assert "Traceback" not in ended.stderr
    if arguments == ("doctor",):
        assert ended.returncode == 3, ended
        assert f"PROBLEM store: PostgreSQL at 127.0.0.1:{server.port} " in ended.stdout
        return
    assert ended.returncode == 1, ended
    assert ended.stderr.splitlines()[-1].startswith(f"threadx: error: PostgreSQL at 127.0.0.1:{server.port} ")
    assert _faults(lake_settings) == []
