"""What the loopback exchange serves: made-up and recorded candles, and their roll-up."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import requests

from tests.support.recordings import Recordings
from threadx_duck.errors import UsageError
from threadx_duck.simulator import Market, SymbolMarket, generate_market, read_market

START = datetime(2024, 1, 1, tzinfo=UTC)
NAIVE = datetime(2024, 1, 1)
MINUTE = timedelta(minutes=1)


def small_market(**changes: object) -> Market:
    return generate_market(start=START, end=START + timedelta(days=2), **changes)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("symbol", ["BTCUSDC", "PEPEUSDT", "ADABTC", "UNHEARDOF"])
def test_generated_candles_keep_the_invariants(symbol: str) -> None:
    market = generate_market([symbol], start=START, end=START + timedelta(days=30), quiet={symbol: 0.4}, seed=7)
    table = market[symbol].candles
    assert table.num_rows == 30 * 1440
    previous = None
    for row in table.to_pylist():
        body = (row["open"], row["close"])
        assert 0 < row["low"] <= min(body) <= max(body) <= row["high"]
        assert (row["volume"] == 0) == (row["trade_count"] == 0)
        assert 0 <= row["taker_buy_volume"] <= row["volume"]
        assert 0 <= row["taker_buy_quote_volume"] <= row["quote_volume"]
        if row["volume"]:
            average = row["quote_volume"] / row["volume"]
            slack = 1e-8 / row["volume"] + 1e-9 * average
            assert row["low"] - slack <= average <= row["high"] + slack
        else:
            assert {row["open"], row["high"], row["low"], row["close"]} == {previous}
        for name in ("open", "high", "low", "close", "volume", "quote_volume", "taker_buy_quote_volume"):
            assert float(f"{row[name]:.8f}") == row[name]
        previous = row["close"]
    share = pc.mean(pc.equal(table["volume"], 0).cast(pa.float64())).as_py()
    assert 0.35 < share < 0.45


def test_generated_market_is_the_same_for_the_same_seed() -> None:
    first, again, other = (small_market(seed=seed)["ETHUSDC"].candles for seed in (5, 5, 6))
    assert first.equals(again)
    assert not first.equals(other)


def test_generated_market_symbols_differ() -> None:
    market = generate_market(["AUSDC", "BUSDC"], start=START, end=START + timedelta(hours=1))
    assert not market["AUSDC"].candles.equals(market["BUSDC"].candles)


def test_generated_outage_takes_the_minutes_of_every_symbol() -> None:
    market = small_market(outages=[(START + 10 * MINUTE, START + 12 * MINUTE)])
    for entry in market.values():
        minutes = entry.candles["open_time"].slice(8, 4).to_pylist()
        assert minutes == [NAIVE + step * MINUTE for step in (8, 9, 12, 13)]


def test_generated_pause_listing_and_delisting_are_one_symbols_own() -> None:
    market = small_market(
        pauses={"BTCUSDC": (START, START + 5 * MINUTE)},
        listings={"ETHUSDC": START + 90 * MINUTE},
        delistings={"SOLUSDC": START + 60 * MINUTE},
    )
    spans = {
        symbol: (entry.candles["open_time"][0].as_py(), entry.candles["open_time"][-1].as_py(), entry.status)
        for symbol, entry in market.items()
    }
    last = NAIVE + timedelta(days=2) - MINUTE
    assert spans == {
        "BTCUSDC": (NAIVE + 5 * MINUTE, last, "TRADING"),
        "ETHUSDC": (NAIVE + 90 * MINUTE, last, "TRADING"),
        "SOLUSDC": (NAIVE, NAIVE + 59 * MINUTE, "BREAK"),
    }


def test_generated_market_without_a_minute_is_empty() -> None:
    market = generate_market(["BTCUSDC"], start=START, end=START)
    assert market.native("BTCUSDC", "1h").num_rows == 0
    assert market.native("BTCUSDC", "1m").num_rows == 0


def candles(*rows: tuple[int, float, float, float, float, float]) -> pa.Table:
    """Rows of minutes after the start, open, high, low, close, volume."""
    names = ("open", "high", "low", "close", "volume")
    columns = list(zip(*rows, strict=True))
    opened = pa.array([NAIVE + minute * MINUTE for minute in columns[0]], pa.timestamp("us"))
    return pa.table({"open_time": opened, **dict(zip(names, map(list, columns[1:]), strict=True))})


def test_native_prices_come_only_from_minutes_that_traded() -> None:
    table = candles((0, 9, 9, 9, 9, 0), (1, 2, 3, 1, 2, 5), (2, 4, 4, 4, 4, 1), (3, 8, 8, 8, 8, 0))
    row = Market({"A": SymbolMarket(table)}).native("A", "5m").to_pylist()[0]
    assert [row[name] for name in ("open", "high", "low", "close", "volume", "trade_count")] == [
        2,
        4,
        1,
        4,
        6,
        2,
    ]


def test_native_prices_of_a_bucket_that_did_not_trade_are_its_last_close() -> None:
    table = candles((0, 7, 7, 7, 7, 0), (1, 8, 8, 8, 8, 0))
    row = Market({"A": SymbolMarket(table)}).native("A", "5m").to_pylist()[0]
    assert [row[name] for name in ("open", "high", "low", "close", "volume")] == [8, 8, 8, 8, 0]


def test_native_buckets_without_a_minute_are_absent() -> None:
    table = candles((0, 1, 1, 1, 1, 1), (61, 1, 1, 1, 1, 1))
    opened = Market({"A": SymbolMarket(table)}).native("A", "15m")["open_time"].to_pylist()
    assert opened == [NAIVE, NAIVE + timedelta(hours=1)]


@pytest.mark.parametrize(
    ("interval", "opens"),
    [
        pytest.param("1w", [datetime(2024, 2, 26), datetime(2024, 3, 4)], id="week-opens-on-monday"),
        pytest.param("1M", [datetime(2024, 2, 1), datetime(2024, 3, 1)], id="month"),
        pytest.param("3d", [datetime(2024, 2, 28), datetime(2024, 3, 2)], id="3d-from-the-listing-day"),
        pytest.param("8h", [datetime(2024, 2, 28, 8), datetime(2024, 2, 28, 16)], id="8h"),
    ],
)
def test_native_buckets_open_where_the_exchanges_do(interval: str, opens: list[datetime]) -> None:
    start = datetime(2024, 2, 28, 13, 5, tzinfo=UTC)
    market = generate_market(["BTCUSDC"], start=start, end=start + timedelta(days=8))
    assert market.native("BTCUSDC", interval)["open_time"].to_pylist()[:2] == opens


def test_native_of_an_unknown_interval_is_refused() -> None:
    with pytest.raises(UsageError, match="Unknown interval '3h'"):
        small_market().native("BTCUSDC", "3h")


def test_market_replace_of_an_unknown_symbol_needs_candles() -> None:
    market = small_market()
    with pytest.raises(UsageError, match="needs candles"):
        market.replace("NEWUSDC", status="BREAK")
    market.replace("NEWUSDC", candles((0, 1, 1, 1, 1, 1)), status="BREAK")
    assert market["NEWUSDC"].status == "BREAK"


def test_candles_out_of_order_are_served_in_order() -> None:
    table = candles((3, 1, 1, 1, 1, 1), (1, 1, 1, 1, 1, 1), (2, 1, 1, 1, 1, 1))
    opened = SymbolMarket(table).candles["open_time"].to_pylist()
    assert opened == [NAIVE + step * MINUTE for step in (1, 2, 3)]


def test_candles_without_some_values_get_ones_that_agree() -> None:
    row = SymbolMarket(candles((0, 2, 4, 1, 3, 5))).candles.to_pylist()[0]
    assert row["quote_volume"] == 15
    assert (row["trade_count"], row["taker_buy_volume"], row["taker_buy_quote_volume"]) == (1, 0, 0)


def test_read_market_takes_candles_and_natives_from_files(tmp_path: Path) -> None:
    table = candles((0, 2, 4, 1, 3, 5), (1, 3, 3, 3, 3, 0))
    named = table.append_column("symbol", pa.array(["A", "A"]))
    native = named.slice(0, 1).append_column("timeframe", pa.array(["1mo"]))
    pq.write_table(named, tmp_path / "candles.parquet")
    pq.write_table(native.set_column(5, "volume", pa.array([5.0])), tmp_path / "native.parquet")
    market = read_market(tmp_path / "candles.parquet", tmp_path / "native.parquet")
    assert market["A"].candles.num_rows == 2
    row = market.native("A", "1M").to_pylist()[0]
    assert (row["high"], row["volume"], row["quote_volume"], row["trade_count"]) == (4, 5, 15, 1)


def test_native_rolled_up_from_real_minutes_equals_the_exchanges_own(recordings: Recordings) -> None:
    market = read_market(recordings.candles)
    natives = read_market(recordings.candles, recordings.natives)
    prices = ["open", "high", "low", "close"]
    # Buckets with five minutes; the few that differ were restated between the recordings.
    expected = recordings.expect(
        small={"SUSHIBTC": (576, 576), "NXSBTC": (489, 489), "ETHUSDT": (761, 761)},
        whole={"SUSHIBTC": (8_638, 8_638), "NXSBTC": (19_967, 19_961), "ETHUSDT": (34_586, 34_580)},
    )
    found = {}
    for symbol in expected:
        minutes = market[symbol].candles
        bucket = pc.floor_temporal(minutes["open_time"], 5, "minute")
        whole = pa.table({"open_time": bucket}).group_by("open_time").aggregate([([], "count_all")])
        whole = whole.filter(pc.equal(whole["count_all"], 5)).select(["open_time"])
        ours = market.native(symbol, "5m").select(["open_time", *prices])
        theirs = natives.native(symbol, "5m").select(["open_time", *prices])
        pairs = ours.join(whole, "open_time", join_type="inner").join(
            theirs, "open_time", join_type="inner", right_suffix="_theirs"
        )
        equal = [pc.equal(pairs[name], pairs[f"{name}_theirs"]) for name in prices]
        same = pc.and_(pc.and_(equal[0], equal[1]), pc.and_(equal[2], equal[3]))
        found[symbol] = (pairs.num_rows, pc.sum(same).as_py())
    assert found == expected


@pytest.mark.slow
def test_command_line_serves_until_it_is_terminated() -> None:
    command = [sys.executable, "-m", "threadx_duck.simulator", "--days", "0.1", "--symbols", "BTCUSDC"]
    command += ["--end", "2024-01-02", "--prepare"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        with requests.Session() as session:
            session.trust_env = False
            params: dict[str, str | int] = {"symbol": "BTCUSDC", "interval": "1m", "limit": 1}
            rows = session.get(url + "/api/v3/klines", params=params, timeout=10).json()
        process.terminate()
        assert process.wait(timeout=10) == 0
        assert process.stdout.read() == ""
    assert rows[0][0] == 1_704_153_540_000
