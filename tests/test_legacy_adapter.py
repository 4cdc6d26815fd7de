"""`threadx_duck.legacy_adapter`: candles without a store, their gaps, conservative filling, every error."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import requests
import requests_mock

from tests.conftest import END, OUTAGE, START
from threadx_duck import IngestionManager, LegacyAdapter, UsageError, get_settings
from threadx_duck.candles.klines import CANDLE_SCHEMA
from threadx_duck.candles.times import EPOCH
from threadx_duck.config import Settings
from threadx_duck.errors import (
    BadResponseError,
    BannedError,
    ConnectionFailedError,
    DownloadError,
    HostRefusedError,
    RateLimitedError,
    ServerFailedError,
    UnknownSymbolError,
)
from threadx_duck.simulator import LoopbackExchange

MakeCandles = Callable[..., pa.Table]

HOST = "https://api.binance.com"
KLINES = f"{HOST}/api/v3/klines"
TIME = f"{HOST}/api/v3/time"
NOW = 1_704_153_600_000  # 2024-01-02T00:00:00Z

# binance-spot-api-docs: a real row of ETHBTC, 2020-06-06 21:22.
ROW = [
    1591478520000, "0.02501300", "0.02501800", "0.02500000", "0.02500000", "22.19000000",
    1591478579999, "0.55490906", 40, "10.92900000", "0.27336462", "0",
]  # fmt: skip


@pytest.fixture
def adapter(settings: Settings) -> Iterator[LegacyAdapter]:
    """An adapter that talks to the loopback exchange."""
    with LegacyAdapter(settings) as made:
        yield made


@pytest.fixture
def mocked() -> Iterator[requests_mock.Mocker]:
    """Single answers in the place of the exchange; its clock is asked first."""
    with requests_mock.Mocker() as mocker:
        mocker.get(TIME, json={"serverTime": NOW})
        yield mocker


@pytest.fixture
def mocked_adapter(tmp_path: Path) -> Iterator[LegacyAdapter]:
    """An adapter with the default host that asks every request twice at most, without a pause."""
    (tmp_path / "paths.toml").write_text("[data.api]\nmax_retries = 1\nretry_delay = 0\n")
    with LegacyAdapter(get_settings()) as made:
        yield made


def test_adapter_without_settings_reads_paths_toml(tmp_path: Path) -> None:
    (tmp_path / "paths.toml").write_text('[data.api]\nbase_url = "http://127.0.0.1:9"\n')
    with LegacyAdapter() as made:
        assert made.settings.api.base_url == "http://127.0.0.1:9"


def test_fetch_asks_the_configured_endpoint_with_inclusive_bounds(mocked: requests_mock.Mocker, tmp_path: Path) -> None:
    (tmp_path / "paths.toml").write_text('[data.api]\nklines_endpoint = "/api/v9/klines"\n')
    mocked.get(f"{HOST}/api/v9/time", json={"serverTime": NOW})
    asked = mocked.get(f"{HOST}/api/v9/klines", json=[])
    with LegacyAdapter(get_settings()) as made:
        made.fetch_klines_1m("BTCUSDC", "2024-01-01", "2024-01-01T00:10")
    query = parse_qs(urlsplit(asked.request_history[0].url).query)
    assert query == {
        "symbol": ["BTCUSDC"],
        "interval": ["1m"],
        "startTime": ["1704067200000"],
        "endTime": ["1704067799999"],
        "limit": ["1000"],
    }


def test_fetch_of_a_symbol_beyond_ascii_is_percent_encoded(
    mocked: requests_mock.Mocker, mocked_adapter: LegacyAdapter
) -> None:
    asked = mocked.get(KLINES, json=[])
    mocked_adapter.fetch_klines_1m("币安&x=1USDT", "2024-01-01", "2024-01-01T00:10")
    assert "symbol=%E5%B8%81%E5%AE%89%26X%3D1USDT&" in asked.request_history[0].url


def test_fetch_turns_a_row_into_columns_of_the_schema(
    mocked: requests_mock.Mocker, mocked_adapter: LegacyAdapter
) -> None:
    mocked.get(KLINES, json=[ROW])
    table = mocked_adapter.fetch_klines_1m("ETHBTC", "2020-06-06T21:22", "2020-06-06T21:23")
    assert table.schema == CANDLE_SCHEMA
    assert table.to_pylist() == [
        {
            "symbol": "ETHBTC",
            "open_time": datetime(2020, 6, 6, 21, 22),
            "open": 0.025013,
            "high": 0.025018,
            "low": 0.025,
            "close": 0.025,
            "volume": 22.19,
            "quote_volume": 0.55490906,
            "trade_count": 40,
            "taker_buy_volume": 10.929,
            "taker_buy_quote_volume": 0.27336462,
        }
    ]


def test_fetch_of_plain_dates_gives_whole_days_in_utc(adapter: LegacyAdapter) -> None:
    table = adapter.fetch_klines_1m(symbol="BTCUSDC", start_date="2024-01-02", end_date=date(2024, 1, 2))
    assert table.num_rows == 1440
    assert table["open_time"][0].as_py() == datetime(2024, 1, 2)
    assert table["open_time"][-1].as_py() == datetime(2024, 1, 2, 23, 59)


def test_fetch_of_times_with_an_offset_converts_them_to_utc(adapter: LegacyAdapter) -> None:
    table = adapter.fetch_klines_1m("BTCUSDC", "2024-01-02T02:00+02:00", datetime(2024, 1, 2, 1, tzinfo=UTC))
    assert table["open_time"][0].as_py() == datetime(2024, 1, 2)
    assert table.num_rows == 60


def test_fetch_without_a_start_begins_at_the_listing(adapter: LegacyAdapter) -> None:
    table = adapter.fetch_klines_1m("SOLUSDC", end_date="2024-01-02T13:00")
    assert table["open_time"][0].as_py() == datetime(2024, 1, 2, 12)
    assert table.num_rows == 60


def test_fetch_into_the_future_ends_with_the_last_closed_minute(
    adapter: LegacyAdapter, exchange: LoopbackExchange
) -> None:
    exchange.now = (END - timedelta(hours=1, seconds=30)).replace(tzinfo=UTC)
    table = adapter.fetch_klines_1m("BTCUSDC", "2024-01-03", "2030-01-01")
    assert table["open_time"][-1].as_py() == END - timedelta(hours=1, minutes=2)


def test_fetch_of_several_pages_joins_them_without_a_seam(adapter: LegacyAdapter) -> None:
    table = adapter.fetch_klines_1m("BTCUSDC", START, END)
    assert table.num_rows == 3 * 1440 - 120
    assert len(set(table["open_time"].to_pylist())) == table.num_rows


def test_fetch_over_an_outage_leaves_the_gap(adapter: LegacyAdapter) -> None:
    table = adapter.fetch_klines_1m("BTCUSDC", START, START + timedelta(days=1))
    times = table["open_time"].to_pylist()
    assert OUTAGE[0] - timedelta(minutes=1) in times
    assert OUTAGE[0] not in times
    assert OUTAGE[1] in times


def test_fetch_of_an_empty_range_is_refused(adapter: LegacyAdapter) -> None:
    with pytest.raises(UsageError, match="starts at 2024-01-02T00:00:00Z and ends at 2024-01-01T00:00:00Z"):
        adapter.fetch_klines_1m("BTCUSDC", "2024-01-02", "2024-01-01T00:00")


def test_fetch_logs_one_line_with_rows_and_requests(adapter: LegacyAdapter, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "threadx_duck.legacy_adapter"):
        adapter.fetch_klines_1m("BTCUSDC", "2024-01-02", "2024-01-02")
    (line,) = [record.message for record in caplog.records if record.name == "threadx_duck.legacy_adapter"]
    assert line.startswith("BTCUSDC 2024-01-02T00:00:00Z to 2024-01-03T00:00:00Z: 1440 candles, 0 rows rejected, 2 ")


def test_fetch_writes_the_log_file_of_the_settings(settings: Settings) -> None:
    with LegacyAdapter(settings) as made:
        made.fetch_klines_1m("BTCUSDC", "2024-01-02", "2024-01-02")
    text = (settings.logging.directory / "legacy_adapter.log").read_text()
    assert "INFO threadx_duck.legacy_adapter: BTCUSDC 2024-01-02T00:00:00Z" in text


def test_fetch_of_a_symbol_that_is_mistyped_names_the_nearest(settings: Settings) -> None:
    with LegacyAdapter(settings) as made, pytest.raises(UnknownSymbolError, match=r"Did you mean BTCUSDC\?$"):
        made.fetch_klines_1m("btc/usdx", "2024-01-02", "2024-01-02")


@pytest.mark.parametrize(
    ("answer", "error", "sentence"),
    [
        pytest.param({"status_code": 400, "json": {"code": -1121, "msg": "Invalid symbol."}},
                     UnknownSymbolError, "has no symbol 'BTCUSDC'",
                     id="unknown-symbol"),
        pytest.param({"status_code": 400, "json": {"code": -1120, "msg": "Invalid interval."}},
                     DownloadError, "400, -1120 Invalid interval.", id="bad-request"),
        pytest.param({"status_code": 403, "text": "<HTML>Request blocked.</HTML>"},
                     HostRefusedError, r"\[data.api\] base_url", id="firewall"),
        pytest.param({"status_code": 404, "text": ""}, DownloadError, "klines_endpoint", id="not-found"),
        pytest.param({"status_code": 418, "headers": {"Retry-After": "120"}, "json": {"code": -1003, "msg": ""}},
                     BannedError, "banned this address until", id="banned"),
        pytest.param({"status_code": 429, "headers": {"Retry-After": "0"}, "json": {"code": -1003, "msg": ""}},
                     RateLimitedError, "rate_limit_calls", id="rate-limit"),
        pytest.param({"status_code": 451, "json": {"code": 0, "msg": ""}},
                     HostRefusedError, "does not serve your location", id="restricted"),
        pytest.param({"status_code": 503, "text": "busy"}, ServerFailedError, "503", id="server-error"),
        pytest.param({"text": "<html>hello</html>"}, BadResponseError, "something other than JSON", id="html"),
        pytest.param({"json": {"a": 1}}, BadResponseError, "list of candles", id="not-a-list"),
        pytest.param({"exc": requests.exceptions.ReadTimeout}, ConnectionFailedError, "timeout_seconds", id="timeout"),
        pytest.param({"exc": requests.exceptions.ConnectionError("refused")},
                     ConnectionFailedError, "No answer from api.binance.com: refused", id="no-connection"),
        pytest.param({"exc": requests.exceptions.SSLError(ssl.SSLError("bad certificate"))},
                     DownloadError, "ca_bundle", id="certificate"),
        pytest.param({"exc": requests.exceptions.ProxyError("no proxy")},
                     ConnectionFailedError, r"\[data.api\] proxy", id="proxy"),
    ],
)  # fmt: skip
def test_fetch_that_fails_says_what_was_found_and_what_to_do(
    mocked: requests_mock.Mocker,
    mocked_adapter: LegacyAdapter,
    answer: dict[str, Any],
    error: type[Exception],
    sentence: str,
) -> None:
    mocked.get(KLINES, **answer)
    mocked.get(f"{HOST}/api/v3/exchangeInfo", json={"symbols": []})
    with pytest.raises(error, match=sentence):
        mocked_adapter.fetch_klines_1m("btcusdc", "2024-01-01", "2024-01-01")


def test_fetch_asks_again_after_a_passing_failure(adapter: LegacyAdapter, exchange: LoopbackExchange) -> None:
    exchange.fail(503, times=2, match="BTCUSDC")
    assert adapter.fetch_klines_1m("BTCUSDC", "2024-01-02", "2024-01-02").num_rows == 1440
    assert len(exchange.requests.of(symbol="BTCUSDC", status=503)) == 2


def test_gaps_of_complete_candles_are_none(adapter: LegacyAdapter, make_candles: MakeCandles) -> None:
    gaps = adapter.detect_gaps_1m(make_candles(minutes=100))
    assert gaps.num_rows == 0
    assert gaps.column_names == ["symbol", "gap_start", "gap_end", "missing"]


def test_gaps_are_told_by_symbol_with_an_exclusive_end(adapter: LegacyAdapter, make_candles: MakeCandles) -> None:
    candles = pa.concat_tables(
        [make_candles("BTCUSDC", minutes=10, skip=[3, 4, 8]), make_candles("ETHUSDC", minutes=10, skip=[5])]
    )
    minute = timedelta(minutes=1)
    assert adapter.detect_gaps_1m(candles).to_pylist() == [
        {"symbol": "BTCUSDC", "gap_start": START + 3 * minute, "gap_end": START + 5 * minute, "missing": 2},
        {"symbol": "BTCUSDC", "gap_start": START + 8 * minute, "gap_end": START + 9 * minute, "missing": 1},
        {"symbol": "ETHUSDC", "gap_start": START + 5 * minute, "gap_end": START + 6 * minute, "missing": 1},
    ]


def test_fill_repeats_the_last_close_without_volume(adapter: LegacyAdapter, make_candles: MakeCandles) -> None:
    candles = make_candles(minutes=4, skip=[1, 2])
    filled = adapter.fill_gaps_conservative(candles, adapter.detect_gaps_1m(candles))
    assert filled.column_names == [*CANDLE_SCHEMA.names, "is_filled"]
    assert filled["is_filled"].to_pylist() == [False, True, True, False]
    made = filled.slice(1, 1).to_pylist()[0]
    assert [made[name] for name in ("open", "high", "low", "close")] == [11.0] * 4
    assert [made[name] for name in ("volume", "quote_volume", "trade_count", "taker_buy_volume")] == [0, 0, 0, 0]


def test_fill_leaves_a_gap_longer_than_the_setting(settings: Settings, make_candles: MakeCandles) -> None:
    short = replace(settings, processing=replace(settings.processing, max_gap_fill_hours=0.05))
    candles = make_candles(minutes=20, skip=[1, 2, 3, 10, 11, 12, 13])
    with LegacyAdapter(short) as made:
        filled = made.fill_gaps_conservative(candles)
    assert filled.num_rows == 16
    assert sum(filled["is_filled"].to_pylist()) == 3


def test_fill_of_chosen_gaps_leaves_the_others(adapter: LegacyAdapter, make_candles: MakeCandles) -> None:
    candles = make_candles(minutes=10, skip=[2, 6])
    filled = adapter.fill_gaps_conservative(candles, adapter.detect_gaps_1m(candles).slice(1))
    assert [row["open_time"].minute for row in filled.to_pylist() if row["is_filled"]] == [6]


def test_fill_keeps_the_candles_given_as_they_are(adapter: LegacyAdapter, make_candles: MakeCandles) -> None:
    candles = make_candles(minutes=4, skip=[1], quote_volume=None, trade_count=None)
    filled = adapter.fill_gaps_conservative(candles)
    kept = filled.filter(pa.compute.invert(filled["is_filled"])).drop_columns("is_filled")
    assert kept.equals(candles)


@pytest.mark.slow
@pytest.mark.parametrize(
    "convert",
    [
        pytest.param(lambda table: table.to_pandas(), id="pandas"),
        pytest.param(lambda table: table.to_pandas().assign(open_time=lambda f: f.open_time.dt.tz_localize("UTC")),
                     id="pandas-with-zone"),
        pytest.param(lambda table: table.to_pandas().astype({"open_time": "datetime64[ns]"}), id="pandas-ns"),
        pytest.param(pl.from_arrow, id="polars"),
        pytest.param(lambda table: table.to_reader(), id="arrow-reader"),
    ],
)  # fmt: skip
def test_tables_of_other_libraries_are_understood(
    adapter: LegacyAdapter, make_candles: MakeCandles, convert: Any
) -> None:
    candles = make_candles(minutes=10, skip=[4])
    assert adapter.fill_gaps_conservative(convert(candles)).equals(adapter.fill_gaps_conservative(candles))


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        pytest.param([1, 2], "A list is not a table of candles", id="no-table"),
        pytest.param(pd.DataFrame({"symbol": ["A"]}), "no column open_time", id="no-column"),
        pytest.param(pa.table({"symbol": ["A"], "open_time": ["soon"]}), "open_time of the candles is", id="text"),
        pytest.param(pa.table({"symbol": pa.array([None], pa.string())}), "1 empty values", id="null"),
    ],
)  # fmt: skip
def test_gaps_of_something_else_are_refused(adapter: LegacyAdapter, table: Any, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        adapter.detect_gaps_1m(table)


def test_fill_of_something_that_is_no_gaps_is_refused(adapter: LegacyAdapter, make_candles: MakeCandles) -> None:
    with pytest.raises(UsageError, match="gap_start and gap_end"):
        adapter.fill_gaps_conservative(make_candles(), pa.table({"from": [EPOCH]}))


def test_fill_of_a_download_equals_the_filled_candles_of_the_store(adapter: LegacyAdapter, settings: Settings) -> None:
    with IngestionManager(settings) as manager:
        minutes = manager.download_ohlcv_1m("ETHUSDC", START, END)
        stored = manager.candles("ETHUSDC", "1m", START, END, fill=True)
    filled = adapter.fill_gaps_conservative(minutes)
    assert sum(filled["is_filled"].to_pylist()) == 120
    assert filled["is_filled"].to_pylist() == [count == 1 for count in stored["filled_minutes"].to_pylist()]
    assert filled.select(CANDLE_SCHEMA.names).equals(stored.select(CANDLE_SCHEMA.names))
