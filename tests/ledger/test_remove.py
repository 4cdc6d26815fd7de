"""`threadx_duck.ledger.remove` and ``threadx remove``: what is deleted, and that the ledger stays true."""

from __future__ import annotations

import json
from datetime import datetime

import pytest

from threadx_duck import IngestionManager, UsageError
from threadx_duck.audit.checks import run_checks
from threadx_duck.candles.ranges import TimeRange
from threadx_duck.cli.main import run
from threadx_duck.config import Settings
from threadx_duck.ledger.remove import count_candles, remove_candles
from threadx_duck.simulator import LoopbackExchange

pytestmark = pytest.mark.slow

DAY_TWO = TimeRange(datetime(2024, 1, 2), datetime(2024, 1, 3))


@pytest.fixture
def manager(settings: Settings) -> IngestionManager:
    """A store with three days of two symbols."""
    manager = IngestionManager(settings)
    with manager:
        manager.update_assets_batch(["BTCUSDC", "ETHUSDC"], "2024-01-01", "2024-01-03")
    return manager


def _faults(manager: IngestionManager, but: str = "") -> dict[str, int]:
    found = {finding.name: finding.rows.num_rows for finding in run_checks(manager.store)}
    return {name: rows for name, rows in found.items() if rows and name != but}


def test_removed_day_becomes_a_gap_that_was_never_asked_for(manager: IngestionManager) -> None:
    assert remove_candles(manager.store, "BTCUSDC", DAY_TWO) == 1440
    gaps = manager.store.query("read/gaps", symbols=["BTCUSDC"], start=DAY_TWO.start, end=DAY_TWO.end).to_pylist()
    assert [(gap["gap_start"], gap["gap_end"], gap["reason"]) for gap in gaps] == [(*DAY_TWO, "not_downloaded")]
    assert _faults(manager, but="unexplained_gap") == {}


def test_removed_day_leaves_every_other_candle_with_its_request(manager: IngestionManager) -> None:
    remove_candles(manager.store, "BTCUSDC", DAY_TWO)
    ranges = manager.store.query_user_sql(
        "select range_start, range_end, rows_added from requests where symbol = 'BTCUSDC' order by range_start"
    ).to_pylist()
    after = [row for row in ranges if row["range_start"] >= DAY_TWO.end]
    assert [row["rows_added"] for row in after] == [1440]
    assert all(row["range_end"] <= DAY_TWO.start for row in ranges if row not in after)
    assert count_candles(manager.store, "BTCUSDC") == 3 * 1440 - 120 - 1440


def test_removed_day_is_downloaded_again_and_nothing_else(
    manager: IngestionManager, exchange: LoopbackExchange
) -> None:
    before = manager.candles("BTCUSDC")
    remove_candles(manager.store, "BTCUSDC", DAY_TWO)
    exchange.requests.clear()
    with manager:
        result = manager.update_assets_batch(["BTCUSDC"], "2024-01-01", "2024-01-03")["BTCUSDC"]
    assert result.rows_added == 1440
    assert len(exchange.requests.klines) == 2
    assert manager.candles("BTCUSDC").equals(before)
    assert _faults(manager) == {}


@pytest.mark.slow
def test_removed_symbol_leaves_nothing_behind(manager: IngestionManager) -> None:
    remove_candles(manager.store, "BTCUSDC")
    for table in ("candles_1m", "requests", "rejected_rows", "revisions", "native_candles"):
        assert manager.store.query_user_sql(f"from {table} where symbol = 'BTCUSDC'").num_rows == 0
    assert count_candles(manager.store, "ETHUSDC") > 0
    assert _faults(manager) == {}


def test_removal_of_a_symbol_that_is_not_stored_is_refused(manager: IngestionManager) -> None:
    with pytest.raises(UsageError, match=r"Not stored: NOPE\. See: threadx status"):
        count_candles(manager.store, "NOPE")


def test_remove_without_yes_says_what_it_would_delete(
    manager: IngestionManager, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["remove", "BTCUSDC", "--start", "2024-01-02", "--end", "2024-01-02"]) == 2
    shown = capsys.readouterr()
    assert shown.err == "threadx: error: Nothing was removed: add --yes to delete 1,440 candles of BTCUSDC.\n"
    assert shown.out.splitlines()[2].split() == ["BTCUSDC", "2024-01-02", "00:00", "2024-01-03", "00:00", "1,440"]
    assert count_candles(manager.store, "BTCUSDC") == 3 * 1440 - 120


def test_remove_as_a_dry_run_previews_and_ends_with_0(
    manager: IngestionManager, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["remove", "btc/usdc", "--start", "2024-01-02", "--dry-run", "--json"]) == 0
    shown = capsys.readouterr()
    assert shown.err == "note: Nothing was removed.\n"
    assert json.loads(shown.out) == {
        "symbol": "BTCUSDC",
        "start": "2024-01-02T00:00:00Z",
        "end": None,
        "candles": 2_880,
        "removed": False,
    }
    assert run(["remove", "BTCUSDC", "--dry-run", "--yes"]) == 2
    assert "exclude each other" in capsys.readouterr().err
    assert count_candles(manager.store, "BTCUSDC") == 3 * 1440 - 120


def test_remove_with_yes_deletes(manager: IngestionManager, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["remove", "BTCUSDC", "--start", "2024-01-02", "--end", "2024-01-02", "--yes"]) == 0
    assert capsys.readouterr().err == "note: Deleted 1,440 candles of BTCUSDC from data/threadx.duckdb.\n"
    assert count_candles(manager.store, "BTCUSDC") == 2 * 1440 - 120
