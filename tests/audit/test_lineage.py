"""`threadx_duck.audit.lineage`: the evidence behind one candle, and what later answers changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.evidence_helpers import (
    DAY,
    HOUR,
    MINUTE,
    START,
    edit_candles,
    manager_of,
    restate,
    rows,
    take_out,
    threadx,
)
from threadx_duck.audit.lineage import explain_candle, list_revisions
from threadx_duck.candles.timeframes import parse_timeframe
from threadx_duck.errors import UsageError
from threadx_duck.ingest import IngestionManager
from threadx_duck.simulator import LoopbackExchange, Market, generate_market

pytestmark = pytest.mark.slow

END = START + 2 * DAY
HALT = (START + 10 * HOUR, START + 12 * HOUR)
OFF_GRID = START + 20 * HOUR
RESTATED = START + 5 * HOUR


class World(NamedTuple):
    market: Market
    exchange: LoopbackExchange
    manager: IngestionManager
    folder: Path


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Two days with an outage, a minute off the grid, a minute restated and one withdrawn later."""
    market = generate_market(["BTCUSDC", "ETHUSDC"], start=START, end=END, outages=[HALT])

    def shift(candles: list[dict[str, object]]) -> list[dict[str, object]]:
        return [
            row | {"open_time": OFF_GRID + timedelta(seconds=14)} if row["open_time"] == OFF_GRID else row
            for row in candles
        ]

    edit_candles(market, "BTCUSDC", shift)
    now = (END + HOUR).replace(tzinfo=UTC)
    with LoopbackExchange(market, now=now) as exchange, manager_of(tmp_path, exchange) as manager:
        manager.update_assets_batch(["BTCUSDC", "ETHUSDC"])
        restate(market, "BTCUSDC", RESTATED, high=1e6, trade_count=5)
        take_out(market, "BTCUSDC", RESTATED + MINUTE, RESTATED + 2 * MINUTE)
        exchange.advance(DAY)
        manager.update_assets_batch(["BTCUSDC"], START, END, refresh=True)
        yield World(market, exchange, manager, tmp_path)


def test_explained_minute_names_its_values_and_the_request_that_brought_it(world: World) -> None:
    found = explain_candle(world.manager.store, "ETHUSDC", START + HOUR)
    assert (found.open_time, found.end_time) == (START + HOUR, START + HOUR + MINUTE)
    (minute,) = found.minutes
    assert found.candle is not None
    assert found.candle["close"] == minute["close"]
    (request,) = [row for row in found.requests if row["request_id"] == minute["request_id"]]
    assert (request["source"], request["minutes"], len(request["sha256"])) == ("rest", 1, 64)
    assert request["url"].startswith(world.exchange.url)
    assert (found.absent, found.revisions, found.rejected) == ([], [], [])


def test_explained_hour_has_its_minutes_revisions_and_the_exchanges_own(world: World) -> None:
    world.manager.verify(["BTCUSDC"], "1h")
    found = explain_candle(world.manager.store, "BTCUSDC", RESTATED + 17 * MINUTE, parse_timeframe("1h"))
    assert found.candle is not None
    assert found.native is not None
    assert (found.candle["minutes"], found.candle["is_complete"], len(found.minutes)) == (59, False, 59)
    assert found.native["volume"] == pytest.approx(found.candle["volume"])
    assert {row["field"] for row in found.revisions} == {"high", "trade_count", "candle"}
    assert {row["timeframe"] for row in found.requests} == {"1m", "1h"}
    assert [(row["gap_start"], row["missing"], row["reason"]) for row in found.absent] == [
        (RESTATED + MINUTE, 1, "not_published")
    ]


def test_explained_bucket_of_an_outage_gives_the_reason(world: World) -> None:
    found = explain_candle(world.manager.store, "ETHUSDC", HALT[0] + MINUTE, parse_timeframe("3h"))
    assert [(row["gap_start"], row["gap_end"], row["reason"]) for row in found.absent] == [(*HALT, "outage")]
    assert len(found.minutes) == 60


def test_explained_rejected_minute_shows_the_row_that_came(world: World) -> None:
    found = explain_candle(world.manager.store, "BTCUSDC", OFF_GRID)
    assert found.candle is None
    assert {(row["minute"], row["reason"]) for row in found.rejected} == {(OFF_GRID, "off_grid")}
    assert [row["reason"] for row in found.absent] == ["rejected"]
    brought = {row["request_id"] for row in found.requests}
    assert {row["request_id"] for row in found.rejected} <= brought


def test_explained_time_beyond_the_stored_candles_says_so(world: World) -> None:
    before = explain_candle(world.manager.store, "BTCUSDC", START - HOUR)
    after = explain_candle(world.manager.store, "BTCUSDC", END - HOUR, parse_timeframe("1w"))
    assert [row["reason"] for row in before.absent] == ["before_first_candle"]
    assert (after.absent[-1]["gap_start"], after.absent[-1]["reason"]) == (END, "after_last_candle")
    with pytest.raises(UsageError, match="threadx ingest XUSDC"):
        explain_candle(world.manager.store, "XUSDC", START)


def test_nothing_is_overwritten_silently(world: World) -> None:
    found = list_revisions(world.manager.store, [], None, None)
    assert [(row["symbol"], row["open_time"], row["field"], row["new"], row["applied"]) for row in found] == [
        ("BTCUSDC", RESTATED, "high", 1e6, True),
        ("BTCUSDC", RESTATED, "trade_count", 5, True),
        ("BTCUSDC", RESTATED + MINUTE, "candle", None, True),
    ]
    assert all(row["old"] is not None for row in found)
    assert {(row["old_source"], row["new_source"]) for row in found} == {("rest", "rest")}
    assert {row["revised_at"] for row in found} == {END + HOUR + DAY}
    known = {request_id for (request_id,) in rows(world.manager, "select request_id from requests")}
    assert {row["old_request_id"] for row in found} | {row["new_request_id"] for row in found} <= known


def test_revisions_command_lists_those_of_a_range(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert threadx(world.folder, "revisions", "BTCUSDC", "--end", f"{RESTATED + MINUTE:%Y-%m-%dT%H:%M}", "--json") == 0
    assert [row["field"] for row in json.loads(capsys.readouterr().out)["revisions"]] == ["high", "trade_count"]
    assert threadx(world.folder, "revisions", "ETHUSDC", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"revisions": []}
    assert threadx(world.folder, "revisions") == 0
    shown = capsys.readouterr()
    assert "trade_count" in shown.out
    assert "3 values of 2 candles" in shown.err


def test_explain_command_shows_every_section(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    moment = f"{RESTATED:%Y-%m-%dT%H:%M}"
    assert threadx(world.folder, "explain", "BTCUSDC", moment, "-t", "1h") == 0
    shown = capsys.readouterr().out
    for section in ("59 of 60 minutes stored", "values", "absent minutes", "minutes behind it", "revisions"):
        assert section in shown
    assert threadx(world.folder, "explain", "BTCUSDC", f"{OFF_GRID:%Y-%m-%dT%H:%M}", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["candle"] is None
    assert document["rejected"][0]["reason"] == "off_grid"
    assert threadx(world.folder, "explain", "BTCUSDC", "soon") == 2
