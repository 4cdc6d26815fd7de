"""`threadx_duck.audit.verification` and what it stands on: derived candles against the exchange's own."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copyfile
from typing import NamedTuple

import pytest

from tests.support.evidence_helpers import (
    DAY,
    HOUR,
    MINUTE,
    START,
    columns,
    faults,
    manager_of,
    restate,
    restate_native,
    rows,
    serve_native,
    tamper,
    threadx,
)
from threadx_duck.audit.differences import compare_stores
from threadx_duck.audit.fingerprints import compute_fingerprint
from threadx_duck.audit.natives import native_timeframe
from threadx_duck.candles.timeframes import parse_timeframe
from threadx_duck.errors import UnknownTimeframeError, UsageError
from threadx_duck.ingest import IngestionManager
from threadx_duck.simulator import LoopbackExchange, Market, Request, generate_market

pytestmark = pytest.mark.slow

END = START + timedelta(days=9)
HALT = (START + timedelta(days=2, hours=2), START + timedelta(days=2, hours=4, minutes=30))
LISTED = START + timedelta(days=1, hours=5, minutes=7)
NOW = (END + HOUR).replace(tzinfo=UTC)
NOON = START + timedelta(days=4, hours=12)


class World(NamedTuple):
    market: Market
    exchange: LoopbackExchange
    manager: IngestionManager
    folder: Path


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Market, Path]:
    """Nine days of a busy symbol and of a quiet one that was listed later; and a store that holds them."""
    market = generate_market(
        ["BTCUSDC", "ETHUSDC"],
        start=START,
        end=END,
        outages=[HALT],
        listings={"ETHUSDC": LISTED},
        quiet={"ETHUSDC": 0.5},
    )
    folder = tmp_path_factory.mktemp("stored")
    with LoopbackExchange(market, now=NOW) as exchange, manager_of(folder, exchange) as manager:
        manager.update_assets_batch(["BTCUSDC", "ETHUSDC"])
        return market, manager.store.path


@pytest.fixture
def world(stored: tuple[Market, Path], tmp_path: Path) -> Iterator[World]:
    """A market that may be changed, an exchange that serves it, and a store filled before."""
    market = Market(stored[0])
    with LoopbackExchange(market, now=NOW) as exchange, manager_of(tmp_path, exchange) as manager:
        manager.store.path.parent.mkdir()
        copyfile(stored[1], manager.store.path)
        yield World(market, exchange, manager, tmp_path)


@pytest.mark.parametrize("label", ["3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w"])
def test_verify_of_faithful_candles_finds_them_all_equal(world: World, label: str) -> None:
    found = world.manager.verify(timeframe=label)
    assert (found.mismatches, found.causes, found.failed) == ([], [], {})
    assert found.compared == found.matching > 0
    assert faults(world.manager) == {}


@pytest.mark.parametrize(
    ("label", "native"), [("3h", "1h"), ("45m", "15m"), ("2d", "1d"), ("36h", "12h"), ("9d", "1d")]
)
def test_verify_of_an_unpublished_timeframe_rolls_up_the_largest_that_divides_it(
    world: World, label: str, native: str
) -> None:
    found = world.manager.verify(timeframe=label)
    assert found.mismatches == []
    assert found.compared == found.matching > 0
    assert rows(world.manager, "select distinct timeframe from native_candles") == [(native,)]


@pytest.mark.parametrize(
    ("label", "native"),
    [("7d", "1w"), ("2w", "1w"), ("60m", "1h"), ("6d", "1d"), ("1mo", "1mo"), ("7m", None), ("1m", None)],
)
def test_native_timeframe_is_the_largest_published_one_with_a_fixed_grid(label: str, native: str | None) -> None:
    chosen = native_timeframe(parse_timeframe(label))
    assert (chosen.label if chosen else None) == native


@pytest.mark.parametrize("label", ["1m", "7m"])
def test_verify_of_minutes_is_refused_with_what_to_do(world: World, label: str) -> None:
    with pytest.raises(UsageError, match="threadx ingest --refresh"):
        world.manager.verify(timeframe=label)


def test_verify_of_an_unknown_timeframe_or_symbol_is_refused(world: World) -> None:
    with pytest.raises(UnknownTimeframeError):
        world.manager.verify(timeframe="7x")
    with pytest.raises(UsageError, match="Not stored: XUSDC"):
        world.manager.verify(["XUSDC"], "1h")


def test_verify_asks_a_page_a_symbol_and_the_second_time_nothing(world: World) -> None:
    world.manager.verify(timeframe="1h")
    assert sorted(request.symbol for request in world.exchange.requests.klines) == ["BTCUSDC", "ETHUSDC"]  # type: ignore[type-var]
    world.exchange.requests.clear()
    world.manager.verify(timeframe="1h")
    world.manager.verify(timeframe="3h")
    # The hour before the listing, whose answer is empty, so that it is asked for twice.
    assert [request.symbol for request in world.exchange.requests.klines] == ["ETHUSDC", "ETHUSDC"]
    world.exchange.requests.clear()
    world.manager.verify(timeframe="3h")
    assert list(world.exchange.requests) == []


def test_verify_asks_only_for_what_came_since(world: World) -> None:
    world.manager.verify(["BTCUSDC"], "1d", end_date="2024-01-03")
    world.manager.verify(["BTCUSDC"], "1d")
    spans = rows(
        world.manager, "select range_start, range_end, rows_added from requests where timeframe = '1d' order by all"
    )
    assert spans == [(START, START + 3 * DAY, 3), (START + 3 * DAY, END, 6)]


def test_native_candles_are_kept_with_the_request_that_brought_them(world: World) -> None:
    world.manager.verify(["BTCUSDC"], "1d")
    (request,) = rows(
        world.manager,
        "select source, pages, rows_received, rows_added, rows_revised, rows_rejected, length(sha256), url like '%1d%' "
        "from requests where timeframe = '1d'",
    )
    assert request == ("rest", 1, 9, 9, 0, 0, 64, True)
    assert rows(
        world.manager,
        "select count(*), count(distinct native.open_time) from native_candles as native "
        "inner join requests using (request_id) where requests.timeframe = native.timeframe",
    ) == [(9, 9)]


def test_verify_of_months_compares_only_whole_ones(tmp_path: Path) -> None:
    market = generate_market(["BTCUSDC"], start=datetime(2024, 1, 20), end=datetime(2024, 4, 2))
    with LoopbackExchange(market) as exchange, manager_of(tmp_path, exchange) as manager:
        manager.update_assets_batch(["BTCUSDC"], "2024-01-25")
        found = manager.verify(timeframe="1mo")
        assert (found.compared, found.matching) == (2, 2)
        assert rows(manager, "select open_time from native_candles order by all") == [
            (datetime(2024, 2, 1),),
            (datetime(2024, 3, 1),),
        ]


@pytest.mark.parametrize("listed", range(3))
def test_verify_of_3d_follows_the_grid_that_each_symbol_was_listed_with(tmp_path: Path, listed: int) -> None:
    market = generate_market(["AUSDC"], start=START + listed * DAY + 5 * HOUR, end=END)
    with LoopbackExchange(market) as exchange, manager_of(tmp_path, exchange) as manager:
        manager.update_assets_batch(["AUSDC"])
        found = manager.verify(timeframe="3d")
        assert (found.compared, found.mismatches) == ((9 - listed) // 3, [])
        tamper(manager, "update candles_1m set low = low / 2 where open_time = timestamp '2024-01-05 03:00'")
        (mismatch,) = manager.verify(timeframe="3d").mismatches
        opens = market.native("AUSDC", "3d")["open_time"].to_pylist()
        assert mismatch.open_time in opens
        assert mismatch.open_time <= datetime(2024, 1, 5) < mismatch.open_time + 3 * DAY


def test_candle_that_is_not_wholly_conclusive_is_not_compared(tmp_path: Path) -> None:
    market = generate_market(["AUSDC"], start=START, end=END)
    with LoopbackExchange(market) as exchange, manager_of(tmp_path, exchange) as manager:
        manager.update_assets_batch(["AUSDC"], "2024-01-02T03:20", "2024-01-02T06:40")
        manager.update_assets_batch(["AUSDC"], "2024-01-02T08:00", "2024-01-02T09:00")
        found = manager.verify(timeframe="1h")
        assert (found.compared, found.mismatches) == (3, [])


def test_candle_that_is_not_closed_is_not_compared(tmp_path: Path) -> None:
    market = generate_market(["AUSDC"], start=START, end=END)
    now = datetime(2024, 1, 3, 10, 40, 20, tzinfo=UTC)
    with LoopbackExchange(market, now=now) as exchange, manager_of(tmp_path, exchange) as manager:
        manager.update_assets_batch(["AUSDC"])
        assert manager.verify(timeframe="1h").compared == 2 * 24 + 10
        assert manager.verify(timeframe="1d").compared == 2


def test_outage_candle_is_compared_though_incomplete(world: World) -> None:
    restate_native(world.market, "BTCUSDC", "1h", HALT[1].replace(minute=0), high=1e6)
    found = world.manager.verify(["BTCUSDC"], "1h")
    assert columns(found.mismatches, "open_time", "field", "theirs", "is_complete") == [
        (HALT[1].replace(minute=0), "high", 1e6, False)
    ]


def test_tampered_price_is_followed_from_the_month_to_its_minute_and_repaired(world: World) -> None:
    tamper(world.manager, f"update candles_1m set high = high + 9e4 where symbol = 'BTCUSDC' and open_time = '{NOON}'")
    found = world.manager.verify(timeframe="1w")
    assert columns(found.mismatches, "symbol", "open_time", "field", "is_complete") == [
        ("BTCUSDC", START, "high", False)
    ]
    assert (found.compared, found.matching) == (2, 1)
    cause = ("BTCUSDC", NOON, NOON + MINUTE, "1m")
    names = ("symbol", "range_start", "range_end", "timeframe")
    assert columns(found.causes, *names, "status") == [(*cause, "found")]
    assert "--repair" in found.causes[0].note

    repaired = world.manager.verify(timeframe="1w", repair=True)
    assert (repaired.mismatches, repaired.matching) == ([], 2)
    assert columns(repaired.causes, *names, "status") == [(*cause, "repaired")]
    assert "earlier values are in revisions" in repaired.causes[0].note
    assert rows(world.manager, "select symbol, open_time, round(old_high - new_high), applied from revisions") == [
        ("BTCUSDC", NOON, 9e4, True)
    ]
    assert faults(world.manager) == {}


def test_drill_down_asks_a_handful_of_requests(world: World) -> None:
    world.manager.verify(["BTCUSDC"], "1w")
    world.exchange.requests.clear()
    tamper(world.manager, f"update candles_1m set high = high + 9e4 where symbol = 'BTCUSDC' and open_time = '{NOON}'")
    world.manager.verify(["BTCUSDC"], "1w")
    assert [dict(request.query)["interval"] for request in world.exchange.requests.klines] == ["1d", "1h", "1m"]


def test_repair_asks_nothing_where_nothing_differs(world: World) -> None:
    world.manager.verify(timeframe="1d")
    world.exchange.requests.clear()
    assert world.manager.verify(timeframe="1d", repair=True).mismatches == []
    assert list(world.exchange.requests) == []


def test_deleted_minutes_are_found_and_brought_back(world: World) -> None:
    first, last = NOON - 7 * MINUTE, NOON + 5 * MINUTE
    before = compute_fingerprint(world.manager.store)
    tamper(
        world.manager,
        f"delete from candles_1m where symbol = 'BTCUSDC' and open_time >= '{first}' and open_time < '{last}'",
    )
    found = world.manager.verify(["BTCUSDC"], "1d")
    assert columns(found.causes, "range_start", "range_end", "timeframe", "note") == [
        (first, last, "1m", "12 minutes not stored. --repair takes what the exchange answers now.")
    ]
    assert world.manager.verify(["BTCUSDC"], "1d", repair=True).mismatches == []
    assert compute_fingerprint(world.manager.store) == before


def test_deleted_hour_is_a_missing_candle(world: World) -> None:
    tamper(
        world.manager,
        f"delete from candles_1m where symbol = 'BTCUSDC' and open_time >= '{NOON}' and open_time < '{NOON + HOUR}'",
    )
    (mismatch,) = world.manager.verify(["BTCUSDC"], "1h").mismatches
    (theirs,) = rows(
        world.manager, f"select close from native_candles where symbol = 'BTCUSDC' and open_time = '{NOON}'"
    )
    assert (mismatch.field, mismatch.ours, mismatch.theirs, mismatch.is_complete) == ("candle", None, *theirs, False)
    assert world.manager.verify(["BTCUSDC"], "1h", repair=True).mismatches == []


def test_invented_minute_is_removed_and_kept_in_revisions(world: World) -> None:
    invented = HALT[0] + 10 * MINUTE
    tamper(
        world.manager,
        f"insert into candles_1m select * replace (timestamp '{invented}' as open_time) from candles_1m "
        f"where symbol = 'BTCUSDC' and open_time = '{NOON}'",
    )
    (mismatch,) = world.manager.verify(["BTCUSDC"], "1h").mismatches
    assert (mismatch.open_time, mismatch.field, mismatch.theirs) == (HALT[0], "candle", None)
    repaired = world.manager.verify(["BTCUSDC"], "1h", repair=True)
    assert repaired.mismatches == []
    assert repaired.causes[0].note.startswith("1 stored minute that the exchange does not have: now as")
    assert rows(world.manager, "select open_time, new_close, applied from revisions") == [(invented, None, True)]
    assert faults(world.manager) == {}


def test_tampered_native_candle_is_found_and_asked_for_again(world: World) -> None:
    world.manager.verify(["BTCUSDC"], "1d")
    tamper(world.manager, f"update native_candles set open = 1 where open_time = '{START + 3 * DAY}'")
    found = world.manager.verify(["BTCUSDC"], "1d")
    assert columns(found.mismatches, "open_time", "field", "theirs") == [(START + 3 * DAY, "open", 1.0)]
    assert columns(found.causes, "range_start", "range_end", "timeframe") == [(START + 3 * DAY, START + 4 * DAY, "1d")]
    assert "1h candles agree with the stored minutes" in found.causes[0].note
    repaired = world.manager.verify(["BTCUSDC"], "1d", repair=True)
    assert repaired.mismatches == []
    assert columns(repaired.causes, "timeframe", "status") == [("1d", "repaired")]
    assert "was another than that of" in repaired.causes[0].note
    assert rows(world.manager, "select count(*) from revisions") == [(0,)]
    assert rows(world.manager, "select rows_added, rows_revised from requests where timeframe = '1d' order by all") == [
        (0, 1),
        (9, 0),
    ]


def test_restated_hour_is_taken_over_with_its_earlier_values(world: World) -> None:
    restate(world.market, "BTCUSDC", NOON, high=1e6, volume=7.25)
    world.exchange.advance(3 * HOUR)
    found = world.manager.verify(["BTCUSDC"], "1h")
    assert {mismatch.open_time for mismatch in found.mismatches} == {NOON}
    assert columns(found.causes, "range_start", "range_end", "timeframe") == [(NOON, NOON + MINUTE, "1m")]
    repaired = world.manager.verify(["BTCUSDC"], "1h", repair=True)
    assert repaired.mismatches == []
    first, second = "2024-01-10T01:00:00Z", "2024-01-10T04:00:00Z"
    assert repaired.causes[0].note == (
        f"1 differing minute, stored since {first}: now as the exchange answered at {second}; "
        "earlier values are in revisions."
    )
    assert rows(world.manager, "select new_high, new_volume, applied, revised_at from revisions") == [
        (1e6, 7.25, True, datetime(2024, 1, 10, 4))
    ]


def test_hour_restated_without_its_minutes_remains_and_says_so(world: World) -> None:
    restate_native(world.market, "BTCUSDC", "1h", NOON, high=1e6)
    found = world.manager.verify(["BTCUSDC"], "1h", repair=True)
    assert columns(found.mismatches, "open_time", "field", "theirs") == [(NOON, "high", 1e6)]
    assert columns(found.causes, "range_start", "range_end", "timeframe", "status") == [
        (NOON, NOON + HOUR, "1h", "remains")
    ]
    assert found.causes[0].note == (
        "The exchange's own minutes agree with the stored minutes of 2024-01-10T01:00:00Z; "
        "its answer for 1h of 2024-01-10T01:00:00Z does not follow from them."
    )
    assert rows(world.manager, "select count(*) from revisions") == [(0,)]


def test_note_says_that_the_native_candle_changed_and_when(world: World) -> None:
    restate_native(world.market, "BTCUSDC", "1h", NOON, high=1e6)
    world.manager.verify(["BTCUSDC"], "1h")
    restate_native(world.market, "BTCUSDC", "1h", NOON, high=2e6)
    world.exchange.advance(DAY)
    (cause,) = world.manager.verify(["BTCUSDC"], "1h", repair=True).causes
    assert cause.note.endswith(
        "its answer for 1h of 2024-01-11T01:00:00Z, another than that of 2024-01-10T01:00:00Z, "
        "does not follow from them."
    )


def test_empty_native_candle_within_an_outage_is_reported(world: World) -> None:
    candles = world.market.native("BTCUSDC", "1h").to_pylist()
    empty = dict.fromkeys(("volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume"), 0.0)
    flat = dict.fromkeys(("open", "high", "low"), candles[0]["close"])
    candles.append(candles[0] | empty | flat | {"trade_count": 0, "open_time": HALT[0]})
    serve_native(world.market, "BTCUSDC", "1h", sorted(candles, key=lambda row: row["open_time"]))
    found = world.manager.verify(["BTCUSDC"], "1h", repair=True)
    assert columns(found.mismatches, "open_time", "field", "ours", "is_complete") == [(HALT[0], "candle", None, False)]
    assert columns(found.causes, "timeframe", "status") == [("1h", "remains")]


def test_value_that_one_side_lacks_differs_from_nothing(world: World) -> None:
    tamper(world.manager, "update candles_1m set quote_volume = null, trade_count = null, taker_buy_volume = null")
    found = world.manager.verify(timeframe="1h")
    assert (found.mismatches, found.matching) == ([], found.compared)


def test_sums_are_compared_with_a_tolerance_and_prices_exactly(world: World) -> None:
    world.manager.verify(["BTCUSDC"], "1h")
    hours = [START + hour * HOUR for hour in range(4)]
    tamper(world.manager, f"update native_candles set volume = volume + 5e-10 where open_time = '{hours[0]}'")
    tamper(
        world.manager,
        f"update native_candles set quote_volume = quote_volume * (1 + 3e-12) where open_time = '{hours[1]}'",
    )
    tamper(world.manager, f"update native_candles set volume = volume + 2e-9 where open_time = '{hours[2]}'")
    tamper(world.manager, f"update native_candles set close = close * (1 + 3e-16) where open_time = '{hours[3]}'")
    found = world.manager.verify(["BTCUSDC"], "1h")
    assert columns(found.mismatches, "open_time", "field") == [
        (hours[1], "quote_volume"),
        (hours[2], "volume"),
        (hours[3], "close"),
    ]


def test_symbol_that_cannot_be_asked_for_does_not_stop_the_others(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.exchange.fail(400, times=None, match="ETHUSDC", code=-1121)
    found = world.manager.verify(timeframe="1h")
    assert list(found.failed) == ["ETHUSDC"]
    assert (found.compared, found.matching) == (9 * 24 - 2, 9 * 24 - 2)
    assert threadx(world.folder, "verify", "-t", "1h") == 1
    assert "threadx: error: ETHUSDC:" in capsys.readouterr().err


def test_too_many_differences_are_not_followed_without_a_repair(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("threadx_duck.audit.verification._MOST_PAGES", 0)
    tamper(world.manager, f"update candles_1m set high = high + 9e4 where symbol = 'BTCUSDC' and open_time = '{NOON}'")
    (cause,) = world.manager.verify(["BTCUSDC"], "1d").causes
    assert cause.timeframe == "1d"
    assert cause.note.startswith("Too many differences")
    assert world.manager.verify(["BTCUSDC"], "1d", repair=True).mismatches == []


def test_verify_command_ends_with_3_until_repaired(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert threadx(world.folder, "verify", "-t", "1h", "--json") == 0
    clean = json.loads(capsys.readouterr().out)
    assert clean == {
        "timeframe": "1h",
        "compared": 9 * 24 - 2 + 8 * 24 - 5 - 2,
        "matching": clean["compared"],
        "uncompared": 0,
        "mismatches": [],
        "causes": [],
        "failed": {},
    }
    tamper(world.manager, f"update candles_1m set high = high + 9e4 where symbol = 'BTCUSDC' and open_time = '{NOON}'")
    assert threadx(world.folder, "verify", "BTCUSDC", "-t", "1h", "--json") == 3
    (mismatch,) = json.loads(capsys.readouterr().out)["mismatches"]
    assert set(mismatch) == {"symbol", "open_time", "field", "ours", "theirs", "is_complete"}
    assert (mismatch["open_time"], mismatch["field"], mismatch["is_complete"]) == ("2024-01-05T12:00:00Z", "high", True)
    assert threadx(world.folder, "verify", "-t", "1h") == 3
    shown = capsys.readouterr()
    assert "2024-01-05 12:00" in shown.out
    assert "candles equal the exchange's own" in shown.err
    assert threadx(world.folder, "verify", "-t", "1h", "--repair") == 0
    assert threadx(world.folder, "--quiet", "verify", "-t", "1h") == 0
    assert "" in capsys.readouterr().err


def test_verify_command_that_compares_nothing_says_so(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert threadx(world.folder, "verify", "-t", "1mo") == 1
    assert "threadx: error: Nothing could be compared: no closed 1mo candle" in capsys.readouterr().err
    assert threadx(world.folder, "verify", "-t", "1m") == 2
    assert threadx(world.folder, "verify") == 2


def test_interrupted_verify_ends_at_once_and_keeps_what_was_stored(world: World) -> None:
    struck: list[Request] = []

    def interrupt(request: Request) -> bool:
        if dict(request.query).get("interval") == "1d" and not struck:
            struck.append(request)
            os.kill(os.getpid(), signal.SIGINT)
        return False

    threadx(world.folder, "verify", "BTCUSDC", "-t", "1h")
    world.exchange.fail("drop", times=None, match=interrupt)
    assert threadx(world.folder, "verify", "BTCUSDC", "-t", "1d") == 130
    assert rows(world.manager, "select timeframe, count(*) from native_candles group by all") == [("1h", 9 * 24 - 2)]


def test_repair_renews_the_read_copy(world: World) -> None:
    copy = world.folder / "copy.duckdb"
    settings = world.manager.settings
    world.manager.settings = dataclasses.replace(settings, store=dataclasses.replace(settings.store, read_copy=copy))
    tamper(world.manager, f"update candles_1m set high = high + 9e4 where symbol = 'BTCUSDC' and open_time = '{NOON}'")
    world.manager.verify(["BTCUSDC"], "1d")
    assert not copy.exists()
    world.manager.verify(["BTCUSDC"], "1d", repair=True)
    assert compare_stores(settings.store, copy).ranges == []
