"""`threadx_duck.audit.differences`: what differs between two stores."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from shutil import copyfile
from typing import NamedTuple

import pytest

from tests.support.evidence_helpers import DAY, HOUR, MINUTE, START, columns, manager_of, tamper, threadx
from threadx_duck.audit.differences import compare_stores
from threadx_duck.errors import StoreError, UsageError
from threadx_duck.ingest import IngestionManager
from threadx_duck.simulator import LoopbackExchange, generate_market

pytestmark = pytest.mark.slow

END = START + 2 * DAY
NOON = START + DAY / 2


class Pair(NamedTuple):
    manager: IngestionManager
    other: Path
    folder: Path


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """A store of two symbols, and a copy of it."""
    market = generate_market(["BTCUSDC", "ETHUSDC"], start=START, end=END)
    with LoopbackExchange(market) as exchange, manager_of(tmp_path, exchange) as manager:
        manager.update_assets_batch(["BTCUSDC", "ETHUSDC"])
        other = tmp_path / "it's other.duckdb"
        copyfile(manager.store.path, other)
        yield Pair(manager, other, tmp_path)


RANGE = ("symbol", "range_start", "range_end", "minutes", "kind")


def test_diff_of_equal_stores_finds_nothing(pair: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    found = compare_stores(pair.manager.settings.store, pair.other)
    assert (found.ranges, found.candles) == ([], [])
    assert found.here == found.there
    assert threadx(pair.folder, "diff", str(pair.other)) == 0
    assert "5,760 candles are equal" in capsys.readouterr().err


def test_diff_of_a_store_named_other_works(pair: Pair) -> None:
    named = pair.folder / "other.duckdb"
    copyfile(pair.manager.store.path, named)
    tamper(pair.manager, f"update candles_1m set close = 1 where open_time = '{START}'")
    found = compare_stores(replace(pair.manager.settings.store, database=named), pair.manager.store.path)
    assert found.candles


@pytest.mark.slow
def test_diff_lists_ranges_and_values(pair: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    tamper(
        pair.manager,
        f"delete from candles_1m where symbol = 'ETHUSDC' and open_time >= '{NOON}' and open_time < '{NOON + HOUR}'",
    )
    tamper(pair.manager, f"update candles_1m set trade_count = 3, close = 1 where open_time = '{START}'")
    tamper(
        pair.manager,
        f"update candles_1m set symbol = 'NEWUSDC' where symbol = 'ETHUSDC' and open_time = '{START + MINUTE}'",
    )
    found = compare_stores(pair.manager.settings.store, pair.other)
    assert columns(found.ranges, *RANGE) == [
        ("BTCUSDC", START, START + MINUTE, 1, "differs"),
        ("ETHUSDC", START, START + MINUTE, 1, "differs"),
        ("ETHUSDC", START + MINUTE, START + 2 * MINUTE, 1, "only_there"),
        ("ETHUSDC", NOON, NOON + HOUR, 60, "only_there"),
        ("NEWUSDC", START + MINUTE, START + 2 * MINUTE, 1, "only_here"),
    ]
    assert {(value.symbol, value.open_time, value.field) for value in found.candles} == {
        (symbol, START, name) for symbol in ("BTCUSDC", "ETHUSDC") for name in ("close", "trade_count")
    }
    assert {(value.here, type(value.here)) for value in found.candles} == {(3, int), (1.0, float)}
    assert threadx(pair.folder, "diff", str(pair.other), "--json") == 3
    document = json.loads(capsys.readouterr().out)
    assert set(document) == {"here", "there", "ranges", "candles"}
    assert len(document["ranges"]) == 5
    assert threadx(pair.folder, "diff", str(pair.other)) == 3
    assert "only there" in capsys.readouterr().out


def test_diff_of_a_range_and_symbol_leaves_out_the_rest(pair: Pair) -> None:
    tamper(pair.manager, f"update candles_1m set close = close + 1 where open_time in ('{START}', '{NOON}')")
    settings = pair.manager.settings.store
    found = compare_stores(settings, pair.other, ["BTCUSDC"], NOON, END)
    assert columns(found.ranges, *RANGE) == [("BTCUSDC", NOON, NOON + MINUTE, 1, "differs")]
    assert compare_stores(settings, pair.other, [], NOON + MINUTE, END).ranges == []


def test_diff_ignores_which_request_brought_a_candle(pair: Pair) -> None:
    tamper(pair.manager, "update candles_1m set request_id = 1")
    assert compare_stores(pair.manager.settings.store, pair.other).ranges == []


def test_diff_of_a_symbol_that_only_the_other_has(pair: Pair) -> None:
    tamper(pair.manager, "delete from candles_1m where symbol = 'ETHUSDC'")
    found = compare_stores(pair.manager.settings.store, pair.other, ["ETHUSDC"])
    assert columns(found.ranges, *RANGE) == [("ETHUSDC", START, END, 2880, "only_there")]
    with pytest.raises(UsageError, match="Neither store has candles of XUSDC"):
        compare_stores(pair.manager.settings.store, pair.other, ["XUSDC"])


def test_diff_with_itself_with_no_store_or_another_market_is_refused(pair: Pair, tmp_path: Path) -> None:
    settings = pair.manager.settings.store
    with pytest.raises(UsageError, match="this very store"):
        compare_stores(settings, settings.database)
    nothing = tmp_path / "nothing.duckdb"
    nothing.write_text("no database")
    with pytest.raises(StoreError, match="not a DuckDB database"):
        compare_stores(settings, nothing)
    import duckdb

    with duckdb.connect(str(pair.other)) as connection:
        connection.execute("update store_info set market = 'elsewhere'")
    with pytest.raises(StoreError, match="holds elsewhere"):
        compare_stores(settings, pair.other)


def test_runs_of_neighbouring_months_are_one_range(tmp_path: Path) -> None:
    first = datetime(2024, 1, 31, 23)
    market = generate_market(["AUSDC"], start=first, end=first + timedelta(hours=3))
    with LoopbackExchange(market) as exchange, manager_of(tmp_path, exchange) as manager:
        manager.update_assets_batch(["AUSDC"])
        other = tmp_path / "other.duckdb"
        copyfile(manager.store.path, other)
        tamper(manager, f"delete from candles_1m where open_time > '{first}' and open_time < '{first + 2 * HOUR}'")
        found = compare_stores(manager.settings.store, other)
        assert columns(found.ranges, "range_start", "range_end", "minutes") == [(first + MINUTE, first + 2 * HOUR, 119)]
