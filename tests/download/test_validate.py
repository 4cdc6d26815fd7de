"""`threadx_duck.download.validate`: what an ingest just changed is compared with the exchange's own candles."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.evidence_helpers import (
    DAY,
    HOUR,
    START,
    columns,
    manager_of,
    restate,
    restate_native,
    rows,
    threadx,
    write_settings,
)
from threadx_duck.errors import UnknownTimeframeError
from threadx_duck.ingest import IngestionManager
from threadx_duck.simulator import LoopbackExchange, Market, Request, generate_market

pytestmark = pytest.mark.slow

END = START + 2 * DAY
NOW = datetime(2024, 1, 3, 10, 20, tzinfo=UTC)


class World(NamedTuple):
    market: Market
    exchange: LoopbackExchange
    manager: IngestionManager
    folder: Path

    def asked(self, interval: str) -> list[tuple[datetime, datetime]]:
        """The ranges asked for at an interval."""
        return [
            (
                datetime.fromtimestamp(int(query["startTime"]) / 1000, UTC).replace(tzinfo=None),
                datetime.fromtimestamp((int(query["endTime"]) + 1) / 1000, UTC).replace(tzinfo=None),
            )
            for query in (dict(request.query) for request in self.exchange.requests.klines)
            if query["interval"] == interval
        ]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """An exchange that goes on after the store ends."""
    market = generate_market(["BTCUSDC", "ETHUSDC"], start=START, end=START + 4 * DAY, quiet={"ETHUSDC": 0.5})
    with LoopbackExchange(market, now=NOW) as exchange, manager_of(tmp_path, exchange) as manager:
        yield World(market, exchange, manager, tmp_path)


@pytest.mark.slow
def test_ingest_counts_the_candles_of_each_timeframe_and_finds_them_equal(world: World) -> None:
    results = world.manager.update_assets_batch(
        ["BTCUSDC", "ETHUSDC"], START, END, target_timeframes=["1m", "1h", "4h", "1d", "7m"]
    )
    for result in results.values():
        assert result.status == "ok"
        assert {label: (found.candles, found.mismatches) for label, found in result.timeframes.items()} == {
            "1m": (2880, []),
            "1h": (48, []),
            "4h": (12, []),
            "1d": (2, []),
            "7m": (412, []),
        }


@pytest.mark.slow
def test_ingest_validates_only_what_it_changed(world: World) -> None:
    world.manager.update_assets_batch(["BTCUSDC"], START, target_timeframes=["1h", "1d"])
    world.exchange.requests.clear()
    world.exchange.advance(2 * HOUR)
    result = world.manager.update_assets_batch(["BTCUSDC"], target_timeframes=["1h", "1d"])["BTCUSDC"]
    assert result.rows_added == 120
    assert world.asked("1h") == [(datetime(2024, 1, 3, 10), datetime(2024, 1, 3, 12))]
    assert world.asked("1d") == []
    world.exchange.requests.clear()
    again = world.manager.update_assets_batch(["BTCUSDC"], START, END, target_timeframes=["1h"])["BTCUSDC"]
    assert (again.status, again.timeframes["1h"].candles) == ("up_to_date", 48)
    assert list(world.exchange.requests) == []


def test_ingest_without_validation_asks_for_no_other_timeframe(tmp_path: Path) -> None:
    market = generate_market(["BTCUSDC"], start=START, end=END)
    lines = ("[data.processing]", "resample_validation = false")
    with LoopbackExchange(market) as exchange, manager_of(tmp_path, exchange, *lines) as manager:
        result = manager.update_assets_batch(["BTCUSDC"], target_timeframes=["1h"])["BTCUSDC"]
        assert (result.timeframes["1h"].candles, result.timeframes["1h"].mismatches) == (48, [])
        assert {dict(request.query)["interval"] for request in exchange.requests.klines} == {"1m"}


@pytest.mark.slow
def test_inconsistency_is_repaired_once(world: World) -> None:
    minute = START + 30 * HOUR
    good = world.market["BTCUSDC"].candles
    restate(world.market, "BTCUSDC", minute, high=1e6)

    def correct(request: Request) -> bool:
        """The exchange corrects its minute when an hour is first asked for."""
        if dict(request.query).get("interval") == "1h":
            world.market.replace("BTCUSDC", good)
        return False

    world.exchange.fail("drop", times=None, match=correct)
    result = world.manager.update_assets_batch(["BTCUSDC"], START, END, target_timeframes=["1h"])["BTCUSDC"]
    assert (result.status, result.timeframes["1h"].mismatches) == ("ok", [])
    assert rows(world.manager, "select open_time, old_high, applied from revisions") == [(minute, 1e6, True)]


@pytest.mark.slow
def test_inconsistency_that_remains_is_reported(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    opened = START + 30 * HOUR
    restate_native(world.market, "BTCUSDC", "1h", opened, high=1e6)
    result = world.manager.update_assets_batch(["BTCUSDC"], START, END, target_timeframes=["1h"])["BTCUSDC"]
    assert result.status == "ok"
    assert columns(result.timeframes["1h"].mismatches, "open_time", "field", "theirs") == [(opened, "high", 1e6)]

    (world.folder / "second").mkdir()
    write_settings(world.folder / "second", world.exchange.url)
    arguments = ("ingest", "BTCUSDC", "--start", "2024-01-01", "--end", "2024-01-02")
    assert threadx(world.folder / "second", *arguments, "-t", "4h,1h", "--timeframe", "1d", "--json") == 3
    document = json.loads(capsys.readouterr().out)
    timeframes = document["symbols"][0]["timeframes"]
    assert {label: (found["candles"], len(found["mismatches"])) for label, found in timeframes.items()} == {
        "4h": (12, 0),
        "1h": (48, 1),
        "1d": (2, 0),
    }
    assert timeframes["1h"]["mismatches"][0]["field"] == "high"
    assert threadx(world.folder / "second", *arguments, "-t", "1h") == 0
    assert "BTCUSDC 1h: 48 candles" in capsys.readouterr().err


def test_symbol_whose_candles_cannot_be_asked_for_has_failed(world: World) -> None:
    world.exchange.fail(
        400,
        times=None,
        match=lambda request: dict(request.query).get("interval") == "1h" and request.symbol == "BTCUSDC",
    )
    results = world.manager.update_assets_batch(["BTCUSDC", "ETHUSDC"], START, END, target_timeframes=["1h"])
    assert (results["BTCUSDC"].status, results["ETHUSDC"].status) == ("failed", "ok")
    assert str(results["BTCUSDC"].error).startswith("The 1h candles could not be verified:")
    assert results["BTCUSDC"].rows_added == 2880


def test_host_that_refuses_everything_is_not_asked_again(world: World) -> None:
    world.exchange.fail(403, times=None, match=lambda request: dict(request.query).get("interval") in {"1h", "4h"})
    results = world.manager.update_assets_batch(["BTCUSDC"], START, END, target_timeframes=["1h", "4h"])
    assert results["BTCUSDC"].status == "failed"
    assert world.asked("4h") == []


def test_unknown_timeframe_is_refused_before_anything_is_asked(world: World) -> None:
    with pytest.raises(UnknownTimeframeError):
        world.manager.update_assets_batch(["BTCUSDC"], START, END, target_timeframes=["1h", "7x"])
    assert list(world.exchange.requests) == []


def test_dry_run_validates_nothing(world: World) -> None:
    results = world.manager.update_assets_batch(["BTCUSDC"], START, END, target_timeframes=["1h"], dry_run=True)
    assert results["BTCUSDC"].timeframes == {}
    assert [(request.params["interval"], request.params["limit"]) for request in world.exchange.requests.klines] == [
        ("1m", "1")
    ]


def said_of(world: World, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[str]]:
    """The exit code of an ingest, and its notes about timeframes."""
    if not (world.folder / "paths.toml").exists():
        write_settings(world.folder, world.exchange.url)
    capsys.readouterr()
    code = threadx(world.folder, "ingest", "BTCUSDC", *arguments)
    notes = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: BTCUSDC ")]
    return code, [line.removeprefix("note: BTCUSDC ") for line in notes]


def test_ingest_says_how_many_candles_it_compared(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    whole = ("--start", "2024-01-01", "--end", "2024-01-02", "-t", "1h,4h,1m,7m")
    # The exchange publishes nothing to compare minutes and seven minutes with.
    assert said_of(world, capsys, *whole) == (
        0,
        [
            "1h: 48 candles, 48 compared",
            "4h: 12 candles, 12 compared",
            "1m: 2,880 candles, 0 compared",
            "7m: 412 candles, 0 compared",
        ],
    )
    # Nothing changed, so nothing was compared, and nothing is claimed.
    assert said_of(world, capsys, *whole)[1][0] == "1h: 48 candles, 0 compared"


def test_ingest_says_how_many_candles_could_not_be_compared(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    part = ("--start", "2024-01-01T10:30", "--end", "2024-01-02T12:00", "-t", "1h,1d")
    assert said_of(world, capsys, *part) == (
        0,
        ["1h: 26 candles, 25 compared, 1 could not be", "1d: 2 candles, 0 compared, 2 could not be"],
    )


def test_ingest_says_how_many_values_differ_of_what_it_compared(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    restate_native(world.market, "BTCUSDC", "1h", START + 30 * HOUR, high=1e6)
    whole = ("--start", "2024-01-01", "--end", "2024-01-02", "-t", "1h")
    assert said_of(world, capsys, *whole) == (3, ["1h: 48 candles, 48 compared, 1 value differs"])


def test_ingest_that_cannot_ask_for_candles_claims_no_comparison(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    def is_native(request: Request) -> bool:
        return dict(request.query).get("interval") == "1h"

    world.exchange.fail(400, times=None, match=is_native, code=-1121)
    whole = ("--start", "2024-01-01", "--end", "2024-01-02", "-t", "1h")
    assert said_of(world, capsys, *whole) == (1, ["1h: 48 candles, 0 compared"])
