"""Several processes and threads on one store: nobody is locked out, nothing is lost or stored twice."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest
from click.testing import CliRunner

from tests.support.processes import PATIENCE, holding, run_python, run_threadx, start_threadx, wait_until
from threadx_duck.audit.checks import run_checks
from threadx_duck.cli.main import threadx
from threadx_duck.config import Settings, get_settings
from threadx_duck.disk import posix as storefile
from threadx_duck.download.results import Progress
from threadx_duck.errors import StoreError
from threadx_duck.ingest import IngestionManager
from threadx_duck.simulator import LoopbackExchange
from threadx_duck.storage.store import Store
from threadx_duck.upkeep.compact import compact
from threadx_duck.upkeep.publish import publish

pytestmark = pytest.mark.slow

SYMBOLS = ("BTCUSDC", "ETHUSDC")
MINUTES = 4_200
START = ("--start", "2024-01-01")


@pytest.fixture
def patient(tmp_path: Path, exchange: LoopbackExchange) -> Settings:
    """Settings under which a process waits for the others."""
    (tmp_path / "paths.toml").write_text(
        f'[data.store]\nlock_timeout_seconds = {PATIENCE}\n[data.api]\nbase_url = "{exchange.url}"\n'
        "[data.archive]\nenabled = false\n"
    )
    return get_settings()


def _ask(path: Path, statement: str) -> list[Any]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(statement).fetchall()


def _faults(store: Store) -> list[str]:
    return [finding.name for finding in run_checks(store) if finding.rows.num_rows]


@pytest.mark.parametrize(
    "chosen",
    [
        pytest.param((SYMBOLS, SYMBOLS), id="same"),
        pytest.param(((SYMBOLS[0],), (SYMBOLS[1],)), id="disjoint"),
    ],
)
def test_two_ingests_at_once_finish_and_lose_nothing(
    patient: Settings, tmp_path: Path, chosen: tuple[tuple[str, ...], ...]
) -> None:
    processes = [start_threadx("ingest", *symbols, *START, "--json", folder=tmp_path) for symbols in chosen]
    outputs = [process.communicate(timeout=PATIENCE) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    documents = [orjson.loads(out) for out, _ in outputs]
    path = patient.store.database
    assert _ask(
        path, "select symbol, count(*), count(distinct open_time) from candles_1m group by all order by all"
    ) == [(symbol, MINUTES, MINUTES) for symbol in SYMBOLS]
    assert sum(document["rows_added"] for document in documents) == len(SYMBOLS) * MINUTES
    assert _ask(path, "select sum(pages) from requests") == [(sum(document["requests"] for document in documents),)]
    assert _ask(path, "select count(*), count(distinct request_id) from requests") == [
        (count, count) for (count,) in _ask(path, "select count(*) from requests")
    ]
    assert _faults(Store(patient.store)) == []


def test_ingest_publish_and_compact_at_once_lose_nothing(patient: Settings, tmp_path: Path) -> None:
    assert run_threadx("ingest", SYMBOLS[0], *START, "--end", "2024-01-01", folder=tmp_path).returncode == 0
    commands = (
        ("ingest", SYMBOLS[0], *START),
        ("publish", "read.duckdb"),
        ("compact",),
        ("ingest", SYMBOLS[1], *START),
        ("backup", "backup.duckdb"),
    )
    processes = [start_threadx(*command, folder=tmp_path) for command in commands]
    ended = {
        command: (process.communicate(timeout=PATIENCE)[1], process.returncode)
        for command, process in zip(commands, processes, strict=True)
    }
    assert all(code == 0 for _, code in ended.values()), ended
    assert _ask(patient.store.database, "select count(*) from candles_1m") == [(2 * MINUTES,)]
    for name in ("read.duckdb", "backup.duckdb"):
        copy = Store(replace(patient.store, database=tmp_path / name))
        assert _faults(copy) == []
    assert _faults(Store(patient.store)) == []


def test_two_threads_with_managers_of_their_own_finish(patient: Settings) -> None:
    def ingest(symbol: str) -> int:
        with IngestionManager(patient) as manager:
            return manager.update_assets_batch([symbol], "2024-01-01")[symbol].rows_added

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(ingest, SYMBOLS)) == [MINUTES, MINUTES]
    assert _faults(Store(patient.store)) == []


def test_readers_get_in_while_an_ingest_downloads(
    patient: Settings, tmp_path: Path, exchange: LoopbackExchange
) -> None:
    assert run_threadx("ingest", SYMBOLS[0], *START, "--end", "2024-01-01", folder=tmp_path).returncode == 0
    exchange.fail("stall", times=None, seconds=1.0, match=SYMBOLS[1])
    process = start_threadx("ingest", SYMBOLS[1], *START, folder=tmp_path)
    wait_until(lambda: len(exchange.requests.of(symbol=SYMBOLS[1])) > 0)
    assert process.poll() is None
    assert _ask(patient.store.database, "select count(*) from candles_1m") == [(1_320,)]
    exchange.clear_faults()
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 0


@pytest.mark.parametrize("mode", ["ro", "rw"])
def test_ingest_waits_for_who_holds_the_file_and_says_so(
    patient: Settings, tmp_path: Path, mode: str, exchange: LoopbackExchange
) -> None:
    assert run_threadx("ingest", SYMBOLS[0], *START, "--end", "2024-01-01", folder=tmp_path).returncode == 0
    with holding(patient.store.database, mode) as holder:
        process = start_threadx("ingest", SYMBOLS[0], *START, folder=tmp_path)
        assert process.stderr is not None
        note = process.stderr.readline()
        assert (
            f"(process {holder.pid}); DuckDB lets no other process in meanwhile. Waiting for up to 30 seconds." in note
        )
        assert process.poll() is None
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert _ask(patient.store.database, "select count(*) from candles_1m") == [(MINUTES,)]


# Ten processes that commit as often as they can, until they are told to stop; ends with how many gave up.
_LOOPS = """
import os, sys, time
from pathlib import Path
from threadx_duck.config import get_settings
from threadx_duck.errors import StoreLockedError
from threadx_duck.storage.store import Store

settings = get_settings()

def loop():
    store, commits = Store(settings.store), 0
    while not Path("stop").exists():
        with store.writing() as session:
            session.run("store/set_published", published_at=None, published_from=None)
            time.sleep(0.02)
        commits += 1
        print(commits, flush=True)
    return commits

processes = []
for _ in range(10):
    process = os.fork()
    if not process:
        try:
            os._exit(0 if loop() else 1)
        except StoreLockedError:
            os._exit(1)
        finally:
            os._exit(2)
    processes.append(process)
sys.exit(sum(os.waitpid(process, 0)[1] != 0 for process in processes))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="starts its processes by forking")
def test_of_thirteen_that_compete_nobody_gives_up(patient: Settings, tmp_path: Path) -> None:
    assert run_threadx("ingest", SYMBOLS[0], *START, "--end", "2024-01-01", folder=tmp_path).returncode == 0
    loops = subprocess.Popen([sys.executable, "-c", _LOOPS], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert loops.stdout is not None
    try:
        # All of them are at it before the others come.
        while loops.stdout.readline() != "3\n":
            assert loops.poll() is None
        waiting = [start_threadx("ingest", SYMBOLS[0], *START, "--json", folder=tmp_path) for _ in range(3)]
        outputs = [process.communicate(timeout=4 * PATIENCE) for process in waiting]
    finally:
        (tmp_path / "stop").touch()
        rest, _ = loops.communicate(timeout=2 * PATIENCE)
    assert [process.returncode for process in waiting] == [0, 0, 0], outputs
    assert loops.returncode == 0
    # They went on while the three waited.
    assert len(rest.splitlines()) > 10
    assert "Waiting for up to" in "".join(err for _, err in outputs)
    assert sum(orjson.loads(out)["rows_added"] for out, _ in outputs) == MINUTES - 1_320
    assert _ask(patient.store.database, "select count(*) from candles_1m") == [(MINUTES,)]


def test_commit_that_waited_in_vain_stops_the_downloads_and_says_what_is_stored(
    settings: Settings, exchange: LoopbackExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("threadx_duck.download.run.COMMIT_ROWS", 1_000)
    with IngestionManager(settings) as manager:
        manager.update_assets_batch([SYMBOLS[0]], "2024-01-01", "2024-01-01")
        exchange.requests.clear()
        with holding(settings.store.database, "ro"), pytest.raises(StoreError) as caught:
            manager.update_assets_batch([SYMBOLS[0]], "2024-01-01")
    assert "Gave up after 0.2 seconds. What was stored before stays; the same command continues from there." in str(
        caught.value
    )
    assert str(caught.value).endswith("Of this run 0 candles are stored.")


def test_waiting_is_told_once(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    notes: list[str] = []
    progress = Progress()
    monkeypatch.setattr(progress, "note", notes.append)
    with IngestionManager(settings, progress=progress) as manager:
        manager.update_assets_batch([SYMBOLS[0]], "2024-01-01", "2024-01-01")
        with holding(settings.store.database, "rw"), pytest.raises(StoreError):
            manager.store.query("read/symbol_spans")
    assert len(notes) == 1


# The trap of POSIX locks: to close any descriptor of a file drops the process's locks on it ------------------------

_opened: list[tuple[str, bool]] = []
_watched: list[Path] = []


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    """Notes each opening of the watched file by Python, and whether DuckDB had it open here at that moment."""
    if event == "open" and _watched and isinstance(arguments[0], str) and arguments[0] == str(_watched[0]):
        path = _watched.pop()
        _opened.append((arguments[0], storefile.is_open_here(path)))
        _watched.append(path)


sys.addaudithook(_watch)


@contextmanager
def watching(path: Path) -> Iterator[list[tuple[str, bool]]]:
    _opened.clear()
    _watched.append(path)
    try:
        yield _opened
    finally:
        _watched.clear()


def test_no_command_opens_the_file_while_duckdb_has_it_open(settings: Settings, tmp_path: Path) -> None:
    run = CliRunner()
    with watching(settings.store.database) as opened:
        for command in (
            ["ingest", *SYMBOLS, *START],
            ["publish", "read.duckdb"],
            ["backup", "backup.duckdb"],
            ["compact"],
            ["doctor"],
            ["status"],
            ["check"],
            ["query", "select 1"],
            ["fingerprint"],
            ["remove", SYMBOLS[0], "--yes"],
            ["publish", "read.duckdb"],
            ["diff", "read.duckdb"],
        ):
            ran = run.invoke(threadx, command)
            assert ran.exit_code == 0, (command, ran.stderr, ran.exception)
    assert opened
    assert not any(is_open for _, is_open in opened)


def test_copying_while_this_process_has_the_file_open_is_refused_and_keeps_the_lock(
    settings: Settings, tmp_path: Path
) -> None:
    with IngestionManager(settings) as manager:
        manager.update_assets_batch([SYMBOLS[0]], "2024-01-01", "2024-01-01")
        store = manager.store
    try_to_write = "import duckdb, sys; duckdb.connect(sys.argv[1])"
    with duckdb.connect(str(store.path)) as connection:
        connection.execute("insert into rejected_rows values ('X', null, 'mine', 'unreadable', 1)")
        for action in (
            lambda: publish(store, settings.store, tmp_path / "read.duckdb"),
            lambda: compact(store),
            store.file.holder,
        ):
            with pytest.raises(StoreError, match="in this very process"):
                action()
        ran = run_python(try_to_write, str(store.path), folder=tmp_path)
        assert "Could not set lock" in ran.stderr
    assert run_python(try_to_write, str(store.path), folder=tmp_path).returncode == 0
    assert _ask(store.path, "select raw from rejected_rows") == [("mine",)]


def test_publishing_waits_for_the_writing_thread_of_the_same_process(settings: Settings, tmp_path: Path) -> None:
    with IngestionManager(settings) as manager:
        manager.update_assets_batch([SYMBOLS[0]], "2024-01-01", "2024-01-01")
    target = tmp_path / "read.duckdb"
    begun = threading.Event()

    def publish_meanwhile() -> None:
        begun.set()
        publish(Store(settings.store), settings.store, target)

    with ThreadPoolExecutor(1) as pool:
        with Store(settings.store).writing() as session:
            future = pool.submit(publish_meanwhile)
            assert begun.wait(PATIENCE)
            session.run("store/set_store_info", version=1, market="binance_spot", now=None)
            assert not target.exists()
        future.result(PATIENCE)
    assert _ask(target, "select count(*) from candles_1m") == [(1_320,)]


def test_file_under_another_name_is_seen_as_open(tmp_path: Path) -> None:
    path, other = tmp_path / "a.duckdb", tmp_path / "b.duckdb"
    with duckdb.connect(str(path)):
        other.hardlink_to(path)
        assert storefile.is_open_here(other)
    assert not storefile.is_open_here(path)
    assert not storefile.is_open_here(tmp_path / "none.duckdb")
