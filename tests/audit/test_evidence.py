"""Every minute accounted for: whole runs over the loopback exchange, and over real candles."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tests.support.evidence_helpers import (
    DAY,
    HOUR,
    MINUTE,
    START,
    Rows,
    edit_candles,
    faults,
    gaps,
    manager_of,
    rows,
    serve_native,
    take_out,
)
from tests.support.recordings import Recordings
from threadx_duck.candles.klines import CANDLE_SCHEMA, REJECTED_SCHEMA
from threadx_duck.candles.timeframes import parse_timeframe
from threadx_duck.ingest import IngestionManager
from threadx_duck.ledger.append import append_to_store
from threadx_duck.ledger.page import Page
from threadx_duck.ledger.requests import OpenRequest, make_batches
from threadx_duck.simulator import LoopbackExchange, Market, SymbolMarket, generate_market, read_market
from threadx_duck.simulator.rollup import roll_up

pytestmark = pytest.mark.slow

FIVE = ["AUSDC", "BUSDC", "CUSDC", "DUSDC", "EUSDC"]


def ingest(folder: Path, market: Market, *symbols: str) -> dict[str, list[tuple[Any, ...]]]:
    """Stores a market; the gaps of each symbol."""
    with LoopbackExchange(market) as exchange, manager_of(folder, exchange) as manager:
        manager.update_assets_batch(symbols or sorted(market))
        assert set(faults(manager)) <= {"unexplained_gap"}
        return {symbol: gaps(manager, symbol) for symbol in symbols or sorted(market)}


def test_outage_with_edges_that_differ_is_split_to_the_minute(tmp_path: Path) -> None:
    first, last = START + 5 * HOUR, START + 7 * HOUR
    market = generate_market(FIVE, start=START, end=START + DAY, outages=[(first, last)])
    take_out(market, "AUSDC", first - 3 * MINUTE, first)
    take_out(market, "BUSDC", last, last + 2 * MINUTE)
    found = ingest(tmp_path, market)
    assert found["AUSDC"] == [(first - 3 * MINUTE, first, "not_published"), (first, last, "outage")]
    assert found["BUSDC"] == [(first, last, "outage"), (last, last + 2 * MINUTE, "not_published")]
    assert found["CUSDC"] == found["DUSDC"] == found["EUSDC"] == [(first, last, "outage")]


def test_outages_that_overlap_are_one_where_nine_in_ten_are_absent(tmp_path: Path) -> None:
    market = generate_market(FIVE, start=START, end=START + DAY)
    noon = START + 12 * HOUR
    for shift, symbol in enumerate(FIVE):
        take_out(market, symbol, noon + shift * MINUTE, noon + HOUR + shift * MINUTE)
    everywhere = (noon + 4 * MINUTE, noon + HOUR, "outage")
    found = ingest(tmp_path, market)
    for shift, symbol in enumerate(FIVE):
        before = [(noon + shift * MINUTE, everywhere[0], "not_published")] if shift < 4 else []
        after = [(everywhere[1], noon + HOUR + shift * MINUTE, "not_published")] if shift else []
        assert found[symbol] == [*before, everywhere, *after]


def test_two_outages_one_after_the_other_are_two_gaps(tmp_path: Path) -> None:
    holes = [(START + HOUR, START + 2 * HOUR), (START + 2 * HOUR + MINUTE, START + 3 * HOUR)]
    market = generate_market(FIVE[:2], start=START, end=START + DAY, outages=holes)
    assert set(map(tuple, ingest(tmp_path, market).values())) == {tuple((*hole, "outage") for hole in holes)}


def test_pause_of_two_symbols_for_months_is_no_outage(tmp_path: Path) -> None:
    paused = (START + 2 * DAY, START + 90 * DAY)
    market = generate_market(FIVE[:2], start=START, end=START + 92 * DAY, pauses=dict.fromkeys(FIVE[:2], paused))
    assert ingest(tmp_path, market) == {symbol: [(*paused, "not_published")] for symbol in FIVE[:2]}


def test_pause_and_relisting_of_one_symbol_beside_an_outage(tmp_path: Path) -> None:
    paused, halt = (START + DAY, START + 5 * DAY), (START + 3 * DAY, START + 3 * DAY + HOUR)
    market = generate_market(FIVE[:3], start=START, end=START + 7 * DAY, outages=[halt], pauses={"AUSDC": paused})
    found = ingest(tmp_path, market)
    assert found["AUSDC"] == [
        (paused[0], halt[0], "not_published"),
        (*halt, "outage"),
        (halt[1], paused[1], "not_published"),
    ]
    assert found["BUSDC"] == found["CUSDC"] == [(*halt, "outage")]


def test_outage_in_a_store_of_one_symbol_is_known_once_another_is_added(tmp_path: Path) -> None:
    halt = (START + 3 * HOUR, START + 4 * HOUR)
    market = generate_market(FIVE[:2], start=START, end=START + DAY, outages=[halt])
    with LoopbackExchange(market) as exchange, manager_of(tmp_path, exchange) as manager:
        manager.update_assets_batch(["AUSDC"])
        assert gaps(manager, "AUSDC") == [(*halt, "not_published")]
        manager.update_assets_batch(["BUSDC"])
        assert gaps(manager, "AUSDC") == gaps(manager, "BUSDC") == [(*halt, "outage")]


def test_symbols_not_yet_or_no_longer_listed_do_not_vote(tmp_path: Path) -> None:
    halt = (START + 2 * DAY, START + 2 * DAY + HOUR)
    market = generate_market(
        FIVE[:4],
        start=START,
        end=START + 5 * DAY,
        outages=[halt],
        listings={"AUSDC": START + 3 * DAY},
        delistings={"BUSDC": START + DAY},
    )
    found = ingest(tmp_path, market)
    assert (found["AUSDC"], found["BUSDC"]) == ([], [])
    assert found["CUSDC"] == found["DUSDC"] == [(*halt, "outage")]


def test_minute_that_was_never_asked_for_is_not_downloaded(tmp_path: Path) -> None:
    market = generate_market(FIVE[:2], start=START, end=START + 3 * DAY)
    with LoopbackExchange(market) as exchange, manager_of(tmp_path, exchange) as manager:
        manager.update_assets_batch(FIVE[:2], START, START + DAY + 7 * MINUTE)
        manager.update_assets_batch(FIVE[:1], START + 2 * DAY, START + 3 * DAY)
        assert gaps(manager, "AUSDC") == [(START + DAY + 7 * MINUTE, START + 2 * DAY, "not_downloaded")]
        manager.update_assets_batch(FIVE[:1], START, START + 3 * DAY)
        assert gaps(manager, "AUSDC") == []


def test_rows_off_the_grid_are_rejected_and_their_minutes_say_so(tmp_path: Path) -> None:
    first, last = START + 6 * HOUR, START + 6 * HOUR + 20 * MINUTE
    market = generate_market(FIVE[:3], start=START, end=START + DAY)

    def shift(candles: Rows) -> Rows:
        late = timedelta(seconds=14, milliseconds=789)
        return [
            row | {"open_time": row["open_time"] + late} if first <= row["open_time"] < last else row for row in candles
        ]

    edit_candles(market, "AUSDC", shift)
    take_out(market, "AUSDC", last, last + MINUTE)
    with LoopbackExchange(market) as exchange, manager_of(tmp_path, exchange) as manager:
        manager.update_assets_batch(FIVE[:3])
        assert gaps(manager, "AUSDC") == [(first, last, "rejected"), (last, last + MINUTE, "not_published")]
        assert gaps(manager, "BUSDC") == []
        assert rows(manager, "select count(*), min(minute), max(minute), any_value(reason) from rejected_rows") == [
            (20, first, last - MINUTE, "off_grid")
        ]


def test_symbol_in_break_is_asked_at_most_once_a_day(tmp_path: Path) -> None:
    ended = START + DAY + 90 * MINUTE
    market = generate_market(["AUSDC", "BUSDC"], start=START, end=START + 20 * DAY, delistings={"AUSDC": ended})
    now = (START + 4 * DAY).replace(tzinfo=UTC)
    with LoopbackExchange(market, now=now) as exchange, manager_of(tmp_path, exchange) as manager:
        asked = []
        for _ in range(12):
            exchange.requests.clear()
            results = manager.update_assets_batch(["AUSDC", "BUSDC"])
            asked.append(bool(exchange.requests.of(path="/api/v3/klines", symbol="AUSDC")))
            assert results["AUSDC"].status == ("ok" if asked[-1] else "up_to_date")
            assert results["BUSDC"].rows_added > 0
            exchange.advance(5 * HOUR)
        # After 25 hours the last request is a day old.
        assert asked == [True, *[False] * 4, True, *[False] * 4, True, False]
        assert gaps(manager, "AUSDC") == []


def test_symbol_in_break_is_asked_for_other_times_and_when_told_to(tmp_path: Path) -> None:
    ended = START + 2 * DAY
    market = generate_market(["AUSDC"], start=START, end=ended)
    now = (START + 5 * DAY).replace(tzinfo=UTC)
    with LoopbackExchange(market, now=now) as exchange, manager_of(tmp_path, exchange) as manager:
        manager.update_assets_batch(["AUSDC"], START + DAY)
        exchange.advance(HOUR)
        earlier = manager.update_assets_batch(["AUSDC"], START)["AUSDC"]
        assert (earlier.status, earlier.rows_added) == ("ok", 1440)
        assert manager.update_assets_batch(["AUSDC"])["AUSDC"].status == "up_to_date"
        assert manager.update_assets_batch(["AUSDC"], ended, refresh=True)["AUSDC"].status == "ok"


def test_symbol_that_comes_back_is_found_within_a_day(tmp_path: Path) -> None:
    pause = (START + DAY, START + 6 * DAY)
    market = generate_market(["AUSDC"], start=START, end=START + 8 * DAY, pauses={"AUSDC": pause})
    now = (START + 4 * DAY).replace(tzinfo=UTC)
    with LoopbackExchange(market, now=now) as exchange, manager_of(tmp_path, exchange) as manager:
        manager.update_assets_batch(["AUSDC"])
        exchange.advance(3 * DAY)
        assert manager.update_assets_batch(["AUSDC"])["AUSDC"].rows_added == 1440
        assert gaps(manager, "AUSDC") == [(*pause, "not_published")]


def test_filled_minutes_are_countable_and_a_longer_gap_stays(tmp_path: Path) -> None:
    short = (START + 2 * HOUR + 30 * MINUTE, START + 6 * HOUR + 30 * MINUTE)
    long = (START + 10 * HOUR, START + 14 * HOUR + MINUTE)
    market = generate_market(["AUSDC"], start=START, end=START + DAY, outages=[short, long])
    with LoopbackExchange(market) as exchange, manager_of(tmp_path, exchange) as manager:
        manager.update_assets_batch(["AUSDC"])
        minutes = manager.candles("AUSDC", fill=True)
        filled = minutes.filter(pc.greater(minutes["filled_minutes"], 0)).to_pylist()
        assert [row["open_time"] for row in filled] == [short[0] + step * MINUTE for step in range(240)]
        (before,) = rows(manager, f"select close from candles_1m where open_time = '{short[0] - MINUTE}'")
        for row in filled:
            assert (row["open"], row["high"], row["low"], row["close"]) == before * 4
            assert (row["volume"], row["trade_count"], row["filled_minutes"]) == (0, 0, 1)
        hours = {row["open_time"].hour: row for row in manager.candles("AUSDC", "1h", fill=True).to_pylist()}
        assert [hours[hour]["filled_minutes"] for hour in range(2, 7)] == [30, 60, 60, 60, 30]
        assert sorted(set(range(24)) - set(hours)) == [10, 11, 12, 13]
        assert (hours[14]["minutes"], hours[14]["filled_minutes"], hours[14]["is_complete"]) == (59, 0, False)
        assert rows(manager, "select count(*) from candles_1m") == [(1440 - 240 - 241,)]


OUTAGES = [
    (datetime(2021, 4, 20, 2), datetime(2021, 4, 20, 4, 30)),
    (datetime(2021, 4, 25, 4, 1), datetime(2021, 4, 25, 8, 45)),
    (datetime(2023, 3, 24, 12, 40), datetime(2023, 3, 24, 14)),
]

# Recorded hours that the exchange restated between the recordings of its minutes and of the rest (README there).
RESTATED = {
    datetime(2019, 12, 4, 5),
    datetime(2019, 12, 4, 10),
    datetime(2020, 6, 14, 1),
    datetime(2021, 4, 21, 8),
    datetime(2021, 4, 22, 2),
    datetime(2021, 4, 23, 1),
    datetime(2021, 4, 23, 2),
}
# The end of two minutes that the recorder missed; the other short holes are the exchange's outages.
UNRECORDED = datetime(2021, 6, 8, 18, 49)

# The days of `OUTAGES`; nothing else of them is in the small set.
DAYS = [datetime(2021, 4, 20), datetime(2021, 4, 25)]


def test_real_outages_are_told_to_the_minute(tmp_path: Path, recordings: Recordings) -> None:
    candles = pq.read_table(recordings.candles)
    symbols = ["ADABTC", "BTCUSDT", "DOGEUSDT", "ETHUSDT", "NXSBTC"]
    market = Market({symbol: SymbolMarket(candles.filter(pc.equal(candles["symbol"], symbol))) for symbol in symbols})
    with LoopbackExchange(market) as exchange, manager_of(tmp_path, exchange) as manager:
        spans = [(day, day + timedelta(days=1)) for day in DAYS]
        for start, end in recordings.expect(small=spans, whole=[(datetime(2021, 4, 19), datetime(2021, 4, 26))]):
            manager.update_assets_batch(symbols, start, end)
        manager.update_assets_batch(["BTCUSDT", "DOGEUSDT", "ETHUSDT"], datetime(2023, 3, 24), datetime(2023, 3, 25))
        expected = [(*span, "outage") for span in OUTAGES]
        found = {symbol: [gap for gap in gaps(manager, symbol) if gap[2] != "not_downloaded"] for symbol in symbols}
        assert found == {symbol: expected if symbol.endswith("USDT") else expected[:2] for symbol in symbols}


@pytest.fixture(scope="module")
def real_manager(tmp_path_factory: pytest.TempPathFactory, recordings: Recordings) -> Iterator[IngestionManager]:
    """A store of all recorded minutes, as if each block of them had been asked for, and an exchange of the rest."""
    market = read_market(recordings.candles, recordings.natives)
    for symbol in market:
        for interval in ("5m", "1h", "1d"):
            serve_native(market, symbol, interval, _completed(market, symbol, interval))
    now = datetime(2025, 9, 1, tzinfo=UTC)
    with (
        LoopbackExchange(market, now=now) as exchange,
        manager_of(tmp_path_factory.mktemp("real"), exchange) as manager,
    ):
        requests = [OpenRequest(page) for symbol in market for page in _blocks(market, symbol)]
        append_to_store(manager.store, make_batches(requests))
        yield manager


def _completed(market: Market, symbol: str, interval: str) -> Rows:
    """The recorded candles of an interval; rolled-up ones where none was recorded."""
    rolled = {row["open_time"]: row for row in roll_up(market[symbol].candles, interval).to_pylist()}
    recorded = {row["open_time"]: row for row in market.native(symbol, interval).to_pylist()}
    return [row for _, row in sorted((rolled | recorded).items())]


def _blocks(market: Market, symbol: str) -> Iterator[Page]:
    """The minutes of a symbol as answers, one for each stretch between holes of the recording."""
    candles = market[symbol].candles
    minutes = candles["open_time"].to_pylist()
    holes = [i for i in range(1, len(minutes)) if minutes[i] - minutes[i - 1] > 6 * HOUR or minutes[i] == UNRECORDED]
    cuts = [0, *holes, len(minutes)]
    for first, last in pairwise(cuts):
        block = candles.slice(first, last - first).select(CANDLE_SCHEMA.names[1:])
        yield Page(
            symbol=symbol,
            timeframe="1m",
            source="rest",
            range_start=minutes[first],
            range_end=minutes[last - 1] + MINUTE,
            candles=block.add_column(0, "symbol", pa.repeat(pa.scalar(symbol), len(block))).cast(CANDLE_SCHEMA),
            rejected=REJECTED_SCHEMA.empty_table(),
            url="recorded",
            bodies=(b"recorded",),
            requested_at=datetime(2025, 8, 30),
            seconds=0.0,
        )


@pytest.mark.parametrize(("label", "small", "whole"), [("5m", 4_600, 217_800), ("1h", 370, 18_100), ("1d", 12, 740)])
def test_real_candles_differ_only_in_restated_hours(
    real_manager: IngestionManager, recordings: Recordings, label: str, small: int, whole: int
) -> None:
    found = real_manager.verify(timeframe=label)
    assert found.compared > recordings.expect(small=small, whole=whole)
    # Only these columns were recorded; the simulator makes up the rest of the exchange's candles.
    real = [m for m in found.mismatches if m.field in {"candle", "open", "high", "low", "close", "volume"}]
    width = max(parse_timeframe(label).step, HOUR)
    for mismatch in real:
        is_restated = any(hour - width < mismatch.open_time < hour + HOUR for hour in RESTATED)
        assert is_restated or datetime(2021, 10, 16) <= mismatch.open_time < datetime(2021, 10, 21), mismatch
