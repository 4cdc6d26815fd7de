"""Kills and interruptions: what was committed stays, nothing half done shows, the next run completes it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from tests.soak_kills import Soak
from tests.support.processes import PATIENCE, run_python, run_threadx, start_threadx, wait_until
from threadx_duck.audit.checks import run_checks
from threadx_duck.config import Settings, StoreSettings
from threadx_duck.ingest import IngestionManager
from threadx_duck.simulator import LoopbackExchange, Market, generate_market
from threadx_duck.storage.store import Store

pytestmark = pytest.mark.slow

DAYS = 30
INGEST = ("ingest", "BTCUSDC", "--start", "2024-01-01", "--source", "rest")


@pytest.mark.parametrize(
    ("commands", "life"),
    [
        pytest.param(("ingest", "import", "remove"), 1, id="ingest-import-remove"),
        pytest.param(("verify", "follow"), 2, id="verify-follow"),
        pytest.param(("compact", "publish", "migrate", "backup"), 8, id="copies"),
    ],
)
def test_kills_at_random_moments_lose_nothing(tmp_path: Path, commands: tuple[str, ...], life: int) -> None:
    soak = Soak(tmp_path / "soak", 7, commands)
    kills = list(soak.live(life, most=1))
    assert sum(soak.survived.values()) + len(kills) >= len(commands)
    assert kills
    assert [kill for kill in (*kills, *soak.after_end) if kill.wrong] == []
    assert set(commands) <= soak.ended.keys()
    assert not list((tmp_path / "soak").iterdir())


@pytest.fixture(scope="module")
def month() -> Market:
    start = datetime(2024, 1, 1, tzinfo=UTC)
    return generate_market(["BTCUSDC"], start=start, end=start + timedelta(days=DAYS))


@pytest.fixture
def slow(month: Market, tmp_path: Path) -> Iterator[LoopbackExchange]:
    """An exchange whose answers take a while, so that a run can be met in the middle."""
    with LoopbackExchange(Market(month), latency=0.15) as exchange:
        (tmp_path / "paths.toml").write_text(
            '[data.store]\ndatabase = "threadx.duckdb"\n'
            f'[data.api]\nbase_url = "{exchange.url}"\nretry_delay = 0.0\ntimeout_seconds = 60.0\n'
            "[data.archive]\nenabled = false\n"
        )
        yield exchange


def _count(folder: Path) -> int:
    with duckdb.connect(str(folder / "threadx.duckdb"), read_only=True) as connection:
        return int(connection.execute("select count(*) from candles_1m").fetchall()[0][0])


def _faults(folder: Path) -> list[str]:
    store = Store(StoreSettings(database=folder / "threadx.duckdb"))
    return [finding.name for finding in run_checks(store) if finding.rows.num_rows]


def _end(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


def test_kill_while_the_file_is_made_leaves_none(tmp_path: Path) -> None:
    code = """
import os, sys, duckdb
from pathlib import Path
from threadx_duck.storage import file as database
from threadx_duck.config import StoreSettings
from threadx_duck.storage.store import Store
database.link_file = lambda temporary, target: os._exit(9)
with Store(StoreSettings(database=Path(sys.argv[1]))).writing():
    pass
"""
    path = tmp_path / "threadx.duckdb"
    assert run_python(code, str(path), folder=tmp_path).returncode == 9
    assert not path.exists()
    with Store(StoreSettings(database=path)).writing():
        pass
    assert [entry.name for entry in tmp_path.iterdir()] == ["threadx.duckdb"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_first_interruption_stores_what_has_come_and_says_how_to_go_on(
    slow: LoopbackExchange, tmp_path: Path, number: int
) -> None:
    process = start_threadx(*INGEST, folder=tmp_path)
    wait_until(lambda: len(slow.requests.klines) > 8)
    process.send_signal(number)
    code, _, err = _end(process)
    assert code == 130
    (first, last) = err.splitlines()
    assert first == "note: Stopping after the batch in hand; press Ctrl-C again to stop at once."
    stored = _count(tmp_path)
    assert last == (
        f"note: Stopped. {stored:,} new candles of 1 of 1 symbol are stored: BTCUSDC {stored:,}. "
        "The same command goes on from there."
    )
    assert 0 < stored < DAYS * 1_440
    assert _faults(tmp_path) == []
    slow.latency = 0.0
    assert run_threadx(*INGEST, folder=tmp_path).returncode == 0
    assert _count(tmp_path) == DAYS * 1_440


def test_second_interruption_ends_at_once_and_loses_nothing(slow: LoopbackExchange, tmp_path: Path) -> None:
    slow.fail("stall", times=None, match=lambda request: len(slow.requests.klines) > 8, seconds=2 * PATIENCE)
    process = start_threadx(*INGEST, folder=tmp_path)
    wait_until(lambda: len(slow.requests.klines) > 12)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert process.stderr.readline().startswith("note: Stopping after the batch in hand")
    process.send_signal(signal.SIGINT)
    # The answers that it waits for outlast the patience with it.
    code, _, err = _end(process)
    assert code == 130
    assert err == (
        "threadx: interrupted at once; what was committed is stored, and the same command goes on from there.\n"
    )
    slow.clear_faults()
    slow.latency = 0.0
    assert run_threadx(*INGEST, folder=tmp_path).returncode == 0
    assert _count(tmp_path) == DAYS * 1_440
    assert _faults(tmp_path) == []


def test_interruption_before_anything_is_asked_ends_at_once(slow: LoopbackExchange, tmp_path: Path) -> None:
    slow.fail("stall", times=None, seconds=60.0)
    process = start_threadx("ingest", "BTCUSDC", folder=tmp_path)
    wait_until(lambda: len(slow.requests) > 0)
    process.send_signal(signal.SIGINT)
    code, _, err = _end(process)
    assert code == 130
    assert "Stopped before anything was stored. The same command starts again." in err


def test_interruption_of_a_program_stores_what_has_come(
    settings: Settings, exchange: LoopbackExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    with IngestionManager(settings) as manager:

        def interrupt(*arguments: object) -> None:
            if manager.results or exchange.requests.of(symbol="BTCUSDC"):
                os.kill(os.getpid(), signal.SIGINT)

        exchange.fail("stall", times=None, match=lambda request: len(exchange.requests.klines) > 3, seconds=0.5)
        monkeypatch.setattr(manager._progress, "received", interrupt)
        with pytest.raises(KeyboardInterrupt):
            manager.update_assets_batch(["BTCUSDC"], "2024-01-01")
    store = Store(settings.store)
    assert store.info() is not None
    assert [finding.name for finding in run_checks(store) if finding.rows.num_rows] == []


def test_stop_from_another_thread_ends_the_run_after_its_batch(
    settings: Settings, exchange: LoopbackExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Long enough that pages are still to come when the first is told, also on a busy machine.
    exchange.latency = 0.5
    monkeypatch.setattr("threadx_duck.download.run.REQUESTS_IN_FLIGHT", 1)
    monkeypatch.setattr("threadx_duck.exchange.rest.PAGE_CANDLES", 200)
    with IngestionManager(settings) as manager:
        assert not manager.stop()
        stopped: list[bool] = []

        def stop(*arguments: object) -> None:
            stopped.append(manager.stop())

        manager._progress.received = stop  # type: ignore[assignment]
        result = manager.update_assets_batch(["BTCUSDC"], "2024-01-01")["BTCUSDC"]
        assert stopped
        assert all(stopped)
        assert (result.status, result.error) == ("failed", "The run was stopped.")
        assert result.rows_added > 0
        exchange.latency = 0.0
        manager._progress.received = lambda *arguments: None  # type: ignore[method-assign]
        assert manager.update_assets_batch(["BTCUSDC"], "2024-01-01")["BTCUSDC"].status == "ok"
