"""The loopback exchange's REST endpoints, asked over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pyarrow as pa
import pytest
import requests

from tests.support.recordings import Recordings
from threadx_duck.simulator import LoopbackExchange, Market, SymbolMarket, generate_market

START = datetime(2024, 1, 1, tzinfo=UTC)
START_MS = 1_704_067_200_000
MINUTE_MS = 60_000
DAYS = 3
OUTAGE = (START + timedelta(hours=5), START + timedelta(hours=7))

Get = Callable[..., requests.Response]
Klines = Callable[..., list[list[Any]]]


@pytest.fixture(scope="module")
def market() -> Market:
    made = generate_market(
        ["BTCUSDC", "ETHUSDC", "币安人生USDT"],
        start=START,
        end=START + timedelta(days=DAYS),
        outages=[OUTAGE],
        delistings={"ETHUSDC": START + timedelta(days=1)},
    )
    made["HALTUSDC"] = SymbolMarket(made["ETHUSDC"].candles, status="HALT", price_decimals=4)
    return made


@pytest.fixture
def exchange(market: Market) -> Iterator[LoopbackExchange]:
    with LoopbackExchange(Market(market)) as serving:
        yield serving


@pytest.fixture
def get(exchange: LoopbackExchange) -> Iterator[Get]:
    with requests.Session() as session:
        session.trust_env = False

        def ask(path: str, headers: dict[str, str] | None = None, **params: object) -> requests.Response:
            return session.get(exchange.url + path, params=params, headers=headers, timeout=10)  # type: ignore[arg-type]

        yield ask


@pytest.fixture
def klines(get: Get) -> Klines:
    def ask(symbol: str = "BTCUSDC", interval: str = "1m", **params: object) -> list[list[Any]]:
        reply = get("/api/v3/klines", symbol=symbol, interval=interval, **params)
        assert reply.status_code == 200, reply.text
        rows: list[list[Any]] = reply.json()
        return rows

    return ask


def opens(rows: list[list[Any]]) -> list[int]:
    """The open times as minutes after the start."""
    return [(row[0] - START_MS) // MINUTE_MS for row in rows]


# The window


def test_klines_without_bounds_are_the_newest_500(klines: Klines) -> None:
    assert opens(klines()) == list(range(DAYS * 1440 - 500, DAYS * 1440))


def test_klines_with_only_a_start_are_the_oldest_from_there(klines: Klines) -> None:
    assert opens(klines(startTime=START_MS + 2 * MINUTE_MS, limit=3)) == [2, 3, 4]


def test_klines_with_only_an_end_are_the_newest_up_to_it(klines: Klines) -> None:
    assert opens(klines(endTime=START_MS + 9 * MINUTE_MS, limit=3)) == [7, 8, 9]


def test_klines_with_both_bounds_include_both(klines: Klines) -> None:
    assert opens(klines(startTime=START_MS + 2 * MINUTE_MS, endTime=START_MS + 5 * MINUTE_MS)) == [2, 3, 4, 5]


def test_klines_with_both_bounds_are_cut_at_the_limit_from_the_start(klines: Klines) -> None:
    rows = klines(startTime=START_MS, endTime=START_MS + 100 * MINUTE_MS, limit=2)
    assert opens(rows) == [0, 1]


def test_klines_from_within_a_minute_start_at_the_next(klines: Klines) -> None:
    rows = klines(startTime=START_MS + 2 * MINUTE_MS + 123, endTime=START_MS + 4 * MINUTE_MS + 40_000)
    assert opens(rows) == [3, 4]


def test_klines_of_equal_bounds_are_the_one_candle(klines: Klines) -> None:
    bound = START_MS + 7 * MINUTE_MS
    assert opens(klines(startTime=bound, endTime=bound)) == [7]


def test_klines_from_within_an_outage_start_after_it(klines: Klines) -> None:
    assert opens(klines(startTime=START_MS + 360 * MINUTE_MS, limit=1)) == [420]


def test_klines_of_only_an_outage_are_empty(klines: Klines) -> None:
    assert klines(startTime=START_MS + 300 * MINUTE_MS, endTime=START_MS + 419 * MINUTE_MS) == []


def test_klines_from_the_epoch_start_at_the_listing(klines: Klines) -> None:
    assert opens(klines(startTime=0, limit=1)) == [0]


@pytest.mark.parametrize(
    "bounds",
    [
        pytest.param({"endTime": 5}, id="end-before-2017"),
        pytest.param({"startTime": START_MS + 1, "endTime": START_MS}, id="start-after-end"),
        pytest.param({"startTime": START_MS // 1000, "endTime": START_MS // 1000 + 600}, id="seconds"),
        pytest.param({"startTime": 9_999_999_999_999}, id="future"),
    ],
)
def test_klines_that_match_nothing_are_an_empty_list(klines: Klines, bounds: dict[str, int]) -> None:
    assert klines(**bounds) == []


def test_klines_limit_above_1000_gives_1000(klines: Klines) -> None:
    assert len(klines(startTime=0, limit=5000)) == 1000


def test_klines_bounds_in_microseconds_mean_the_same(klines: Klines) -> None:
    start_us, end_us = START_MS * 1000, (START_MS + MINUTE_MS) * 1000
    assert opens(klines(startTime=start_us, endTime=end_us)) == [0, 1]


def test_klines_across_rendered_blocks_are_seamless(market: Market) -> None:
    long = generate_market(["BTCUSDC"], start=START, end=START + timedelta(days=24))
    with LoopbackExchange(long) as serving, requests.Session() as session:
        session.trust_env = False
        params: dict[str, str | int] = {"symbol": "BTCUSDC", "interval": "1m", "limit": 1000}
        seen: list[int] = []
        start = 0
        while rows := session.get(
            serving.url + "/api/v3/klines", params=params | {"startTime": start}, timeout=10
        ).json():
            seen += opens(rows)
            start = rows[-1][0] + 1
    assert seen == list(range(24 * 1440))


# The rows


def test_klines_row_has_twelve_fields_that_agree_with_the_candle(market: Market, klines: Klines) -> None:
    for row, candle in zip(
        klines(startTime=0, limit=50), market["BTCUSDC"].candles.slice(0, 50).to_pylist(), strict=True
    ):
        assert len(row) == 12
        assert row[6] == row[0] + 59_999
        assert all(len(row[index].partition(".")[2]) == 8 for index in (1, 2, 3, 4, 5, 7, 9, 10))
        assert [float(value) for value in row[1:6]] == [
            candle[name] for name in ("open", "high", "low", "close", "volume")
        ]
        assert (float(row[7]), row[8]) == (candle["quote_volume"], candle["trade_count"])
        assert float(row[9]) == candle["taker_buy_volume"]
        assert float(row[10]) == candle["taker_buy_quote_volume"]
        assert row[11] == "0"


def test_klines_body_is_compact_json_of_the_exchanges_type(get: Get) -> None:
    reply = get("/api/v3/klines", symbol="BTCUSDC", interval="1m", limit=3)
    assert reply.headers["Content-Type"] == "application/json;charset=UTF-8"
    assert reply.text == json.dumps(reply.json(), separators=(",", ":"))


def test_klines_in_microseconds_shift_only_the_times(klines: Klines, get: Get) -> None:
    for value in ("MICROSECOND", "microsecond"):
        params = {"symbol": "BTCUSDC", "interval": "1m", "startTime": START_MS, "limit": 1}
        row = get("/api/v3/klines", headers={"X-MBX-TIME-UNIT": value}, **params).json()[0]
        assert (row[0], row[6]) == (START_MS * 1000, START_MS * 1000 + 59_999_999)
        assert row[1:6] == klines(startTime=START_MS, limit=1)[0][1:6]


def test_klines_forming_candle_is_last_and_not_yet_final(exchange: LoopbackExchange, klines: Klines) -> None:
    final = klines(startTime=START_MS + 60 * MINUTE_MS, limit=1)[0]
    exchange.now = START + timedelta(minutes=60, seconds=30)
    rows = klines(limit=2)
    assert opens(rows) == [59, 60]
    forming = rows[-1]
    assert forming[6] == final[6]
    assert forming[1] == final[1]
    assert 0 < float(forming[5]) < float(final[5])
    assert 0 < forming[8] <= final[8]
    exchange.now = START + timedelta(minutes=61)
    assert klines(limit=2)[0] == final


def test_klines_that_end_before_the_forming_candle_are_all_final(exchange: LoopbackExchange, klines: Klines) -> None:
    final = klines(endTime=START_MS + 59 * MINUTE_MS, limit=5)
    exchange.now = START + timedelta(minutes=60, seconds=30)
    assert klines(endTime=START_MS + 59 * MINUTE_MS, limit=5) == final


def test_klines_of_an_hour_still_running_are_forming(exchange: LoopbackExchange, klines: Klines) -> None:
    final = klines(interval="1h", startTime=START_MS, limit=2)
    exchange.now = START + timedelta(minutes=90)
    rows = klines(interval="1h")
    assert rows[0] == final[0]
    assert float(rows[1][5]) < float(final[1][5])


def test_klines_of_a_delisted_symbol_keep_their_history(klines: Klines) -> None:
    assert opens(klines("ETHUSDC", limit=1)) == [1439]


def test_klines_of_a_non_ascii_symbol_are_served(exchange: LoopbackExchange, klines: Klines) -> None:
    assert len(klines("币安人生USDT", limit=2)) == 2
    assert exchange.requests[-1].symbol == "币安人生USDT"


def test_klines_time_zone_moves_the_days(klines: Klines) -> None:
    utc = klines(interval="1d", startTime=0, limit=1)[0][0]
    ahead = klines(interval="1d", startTime=0, limit=1, timeZone="05:45")[0][0]
    behind = klines(interval="1d", startTime=0, limit=2, timeZone="-1:00")
    assert (utc, ahead) == (START_MS, START_MS - 345 * MINUTE_MS)
    assert opens(behind) == [60 - 1440, 60]


def test_klines_odd_rows_come_as_they_are() -> None:
    minute = timedelta(minutes=1)
    opened = [START, START + timedelta(seconds=20, milliseconds=799), START + minute, START + 2 * minute]
    ordinary = [1.0] * 4
    table = pa.table(
        {
            "open_time": pa.array([time.replace(tzinfo=None) for time in opened], pa.timestamp("us")),
            "open": ordinary,
            "high": [1.0, 1.0, 1.0, 0.00000001],
            "low": [1.0, 1.0, 1.0, -2.5],
            "close": ordinary,
            "volume": [0.0, 1e12, 28_367_292_769.36, 1.0],
            "close_time": pa.array([None, None, (START - minute).replace(tzinfo=None), None], pa.timestamp("us")),
            "ignore": ["0", "10779.83873125", None, "0"],
        }
    )
    market = Market({"ODDUSDC": SymbolMarket(table)})
    with LoopbackExchange(market) as serving, requests.Session() as session:
        session.trust_env = False
        params: dict[str, str | int] = {"symbol": "ODDUSDC", "interval": "1m", "startTime": 0}
        rows = session.get(serving.url + "/api/v3/klines", params=params, timeout=10).json()
    assert [row[0] - START_MS for row in rows] == [0, 20_799, 60_000, 120_000]
    assert [row[5] for row in rows[:3]] == ["0.00000000", "1000000000000.00000000", "28367292769.36000000"]
    assert (rows[2][6], rows[1][11], rows[2][11]) == (START_MS - MINUTE_MS, "10779.83873125", "0")
    assert rows[3][2:4] == ["0.00000001", "-2.50000000"]
    assert [row[8] for row in rows] == [0, 1, 1, 1]


def test_klines_of_a_replaced_symbol_are_the_new_ones(exchange: LoopbackExchange, klines: Klines) -> None:
    assert len(klines(startTime=0, limit=10)) == 10
    exchange.market.replace("BTCUSDC", exchange.market["BTCUSDC"].candles.slice(0, 4))
    assert opens(klines(startTime=0, limit=10)) == [0, 1, 2, 3]


# Errors


@pytest.mark.parametrize(
    ("params", "code", "message"),
    [
        pytest.param(
            {"symbol": "BTCUSDC", "interval": "1m", "start": 1, "end": 2},
            -1104,
            "Not all sent parameters were read; read '2' parameter(s) but was sent '4'.",
            id="unknown-parameters",
        ),
        pytest.param(
            {"symbol": ["BTCUSDC", "ETHUSDC"], "interval": "1m"},
            -1101,
            "Duplicate values for a parameter detected.",
            id="repeated-parameter",
        ),
        pytest.param(
            {"interval": "1m"},
            -1102,
            "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.",
            id="no-symbol",
        ),
        pytest.param(
            {"symbol": "BTCUSDC", "interval": ""},
            -1102,
            "Mandatory parameter 'interval' was not sent, was empty/null, or malformed.",
            id="empty-interval",
        ),
        pytest.param(
            {"symbol": "BTCUSDC", "interval": "1m", "startTime": ""},
            -1105,
            "Parameter 'startTime' was empty.",
            id="empty-start",
        ),
        pytest.param(
            {"symbol": "btcusdc", "interval": "1m"},
            -1100,
            r"Illegal characters found in parameter 'symbol'; legal range is '^[\w\-._&&[^a-z]]{1,50}$'.",
            id="lower-case-symbol",
        ),
        pytest.param(
            {"symbol": "BTCUSDC", "interval": "1m", "startTime": "2024-01-01"},
            -1100,
            "Illegal characters found in parameter 'startTime'; legal range is '^[0-9]{1,20}$'.",
            id="start-as-a-date",
        ),
        pytest.param({"symbol": "NOSUCH", "interval": "1m"}, -1121, "Invalid symbol.", id="unknown-symbol"),
        pytest.param({"symbol": "BTCUSDC", "interval": "3h"}, -1120, "Invalid interval.", id="3h"),
        pytest.param({"symbol": "BTCUSDC", "interval": "1H"}, -1120, "Invalid interval.", id="upper-case-hour"),
        pytest.param(
            {"symbol": "BTCUSDC", "interval": "1m", "limit": 0},
            -1130,
            "Data sent for parameter 'limit' is not valid.",
            id="limit-0",
        ),
        pytest.param(
            {"symbol": "BTCUSDC", "interval": "1d", "timeZone": "15"},
            -1130,
            "Data sent for parameter 'timeZone' is not valid.",
            id="time-zone-too-far-ahead",
        ),
        pytest.param(
            {"symbol": "NOSUCH", "interval": "3h", "limit": 0, "foo": 1},
            -1104,
            "Not all sent parameters were read; read '3' parameter(s) but was sent '4'.",
            id="first-of-several",
        ),
    ],
)
def test_klines_bad_parameter_is_refused(get: Get, params: dict[str, object], code: int, message: str) -> None:
    reply = get("/api/v3/klines", **params)
    assert reply.status_code == 400
    assert reply.json() == {"code": code, "msg": message}


def test_klines_unknown_time_unit_is_refused(get: Get) -> None:
    reply = get("/api/v3/klines", headers={"X-MBX-TIME-UNIT": "SECOND"}, symbol="BTCUSDC", interval="1m")
    assert reply.json()["code"] == -1194


def test_unknown_path_is_404(get: Get) -> None:
    assert get("/api/v3/nothing").status_code == 404


# Other endpoints


def test_ping_answers_an_empty_object(get: Get) -> None:
    assert get("/api/v3/ping").text == "{}"


def test_time_is_the_clocks(exchange: LoopbackExchange, get: Get) -> None:
    exchange.now = START + timedelta(milliseconds=5)
    assert get("/api/v3/time").json() == {"serverTime": START_MS + 5}
    exchange.advance(timedelta(minutes=1))
    reply = get("/api/v3/time", headers={"X-MBX-TIME-UNIT": "MICROSECOND"})
    assert reply.json() == {"serverTime": (START_MS + MINUTE_MS + 5) * 1000}


def test_date_header_is_the_clocks_in_whole_seconds(exchange: LoopbackExchange, get: Get) -> None:
    exchange.now = START + timedelta(seconds=3, milliseconds=900)
    assert get("/api/v3/ping").headers["Date"] == "Mon, 01 Jan 2024 00:00:03 GMT"
    exchange.date_offset = timedelta(hours=-1)
    assert get("/api/v3/ping").headers["Date"] == "Sun, 31 Dec 2023 23:00:03 GMT"


def test_clock_without_a_time_starts_at_the_end_of_the_candles(exchange: LoopbackExchange) -> None:
    assert exchange.now == START + timedelta(days=DAYS)


def test_clock_with_a_speed_runs(market: Market) -> None:
    with LoopbackExchange(market, now=START, speed=1e9) as serving:
        first = serving.now
        assert serving.now > first


def test_exchange_info_lists_symbols_and_limits(get: Get) -> None:
    info = get("/api/v3/exchangeInfo").json()
    assert [limit["limit"] for limit in info["rateLimits"]] == [6000, 300000]
    assert {entry["symbol"]: entry["status"] for entry in info["symbols"]} == {
        "BTCUSDC": "TRADING",
        "ETHUSDC": "BREAK",
        "币安人生USDT": "TRADING",
        "HALTUSDC": "HALT",
    }
    entry = get("/api/v3/exchangeInfo", symbol="HALTUSDC").json()["symbols"][0]
    assert (entry["baseAsset"], entry["quoteAsset"]) == ("HALT", "USDC")
    assert entry["filters"][0]["tickSize"] == "0.00010000"


@pytest.mark.parametrize(
    ("params", "symbols"),
    [
        pytest.param({"symbols": '["BTCUSDC","ETHUSDC"]'}, ["BTCUSDC", "ETHUSDC"], id="list"),
        pytest.param({"symbolStatus": "HALT"}, ["HALTUSDC"], id="status"),
        pytest.param({"symbol": "币安人生USDT", "showPermissionSets": "false"}, ["币安人生USDT"], id="non-ascii"),
    ],
)
def test_exchange_info_of_some_symbols(get: Get, params: dict[str, str], symbols: list[str]) -> None:
    info = get("/api/v3/exchangeInfo", **params).json()
    assert [entry["symbol"] for entry in info["symbols"]] == symbols


@pytest.mark.parametrize(
    ("params", "code"),
    [
        pytest.param({"symbols": '["BTCUSDC","NOSUCH"]'}, -1121, id="one-unknown"),
        pytest.param({"symbols": '["BTCUSDC", "ETHUSDC"]'}, -1100, id="space-in-list"),
        pytest.param({"symbol": "btcusdc"}, -1100, id="lower-case"),
        pytest.param({"symbol": "BTCUSDC", "symbolStatus": "TRADING"}, -1128, id="symbol-and-status"),
        pytest.param({"symbolStatus": "SLEEPING"}, -1122, id="unknown-status"),
    ],
)
def test_exchange_info_bad_parameter_is_refused(get: Get, params: dict[str, str], code: int) -> None:
    reply = get("/api/v3/exchangeInfo", **params)
    assert (reply.status_code, reply.json()["code"]) == (400, code)


def test_head_has_the_length_and_no_body(exchange: LoopbackExchange) -> None:
    url = exchange.url + "/api/v3/klines?symbol=BTCUSDC&interval=1m&limit=2"
    with requests.Session() as session:
        session.trust_env = False
        whole = session.get(url, timeout=10)
        head = session.head(url, timeout=10)
    assert head.headers["Content-Length"] == str(len(whole.content))
    assert head.content == b""


def test_requests_are_recorded_with_their_parameters(exchange: LoopbackExchange, klines: Klines, get: Get) -> None:
    klines(startTime=START_MS, limit=7)
    get("/api/v3/klines", symbol="NOSUCH", interval="1m")
    get("/api/v3/ping")
    first, second = exchange.requests.klines
    assert first.params == {
        "symbol": "BTCUSDC",
        "interval": "1m",
        "startTime": str(START_MS),
        "limit": "7",
    }
    assert (first.status, second.status) == (200, 400)
    # one connection was kept for all of them
    assert len({request.client_port for request in exchange.requests}) == 1
    assert exchange.requests.of(symbol="NOSUCH") == [second]
    exchange.requests.clear()
    assert exchange.requests == []


# Limits


def test_used_weight_is_on_every_answer_errors_too(get: Get) -> None:
    used = [
        int(get(path, **params).headers["X-MBX-USED-WEIGHT-1M"])
        for path, params in (
            ("/api/v3/ping", {}),
            ("/api/v3/klines", {"symbol": "BTCUSDC", "interval": "1m"}),
            ("/api/v3/klines", {"symbol": "NOSUCH", "interval": "1m"}),
            ("/api/v3/exchangeInfo", {}),
            ("/api/v3/time", {}),
        )
    ]
    assert used == [1, 3, 5, 25, 26]


@pytest.fixture
def tight(market: Market) -> Iterator[tuple[LoopbackExchange, Get]]:
    with (
        LoopbackExchange(market, weight_limit=4, ban_after=2) as serving,
        requests.Session() as session,
    ):
        session.trust_env = False

        def ask(path: str = "/api/v3/klines") -> requests.Response:
            params = {"symbol": "BTCUSDC", "interval": "1m", "limit": "1"}
            return session.get(serving.url + path, params=params, timeout=10)

        yield serving, ask


def test_limit_exceeded_is_429_until_the_next_minute(tight: tuple[LoopbackExchange, Get]) -> None:
    exchange, ask = tight
    assert [ask().status_code for _ in range(3)] == [200, 200, 429]
    reply = ask()
    assert reply.json() == {
        "code": -1003,
        "msg": "Too much request weight used; current limit is 4 request weight per 1 MINUTE. "
        "Please use WebSocket Streams for live updates to avoid polling the API.",
    }
    assert reply.headers["X-MBX-USED-WEIGHT-1M"] == "8"
    wait = int(reply.headers["Retry-After"])
    assert 0 < wait <= 60
    exchange.advance(timedelta(seconds=wait))
    assert ask().status_code == 200


def test_limit_ignored_is_a_ban_that_grows(tight: tuple[LoopbackExchange, Get]) -> None:
    exchange, ask = tight
    assert [ask().status_code for _ in range(6)] == [200, 200, 429, 429, 418, 418]
    reply = ask()
    until = int(exchange.now.timestamp() * 1000) + 120_000
    assert reply.json()["code"] == -1003
    told = int(reply.json()["msg"].partition("banned until ")[2].partition(".")[0])
    assert until - 60_000 < told <= until
    assert 60 < int(reply.headers["Retry-After"]) <= 120
    exchange.advance(timedelta(seconds=121))
    assert [ask().status_code for _ in range(5)] == [200, 200, 429, 429, 418]
    assert int(ask().headers["Retry-After"]) > 180


def test_raw_limit_exceeded_is_429(market: Market) -> None:
    with LoopbackExchange(market, raw_limit=1) as serving, requests.Session() as session:
        session.trust_env = False
        statuses = [session.get(serving.url + "/api/v3/ping", timeout=10).status_code for _ in range(2)]
    assert statuses == [200, 429]


# Real replies


def test_klines_of_recorded_replies_are_byte_for_byte_the_exchanges(recordings: Recordings) -> None:
    recorded = [json.loads(path.read_text()) for path in sorted(recordings.replies.glob("spot_*_1m_*.json"))]
    assert recorded
    for reply in recorded:
        query, rows = reply["query"], reply["response"]
        market = Market({query["symbol"]: SymbolMarket(_candles(rows))})
        with LoopbackExchange(market) as serving, requests.Session() as session:
            session.trust_env = False
            answer = session.get(serving.url + reply["route"], params=query, timeout=10)
        assert answer.text == json.dumps(rows, separators=(",", ":"))


def _candles(rows: list[list[Any]]) -> pa.Table:
    columns = list(zip(*rows, strict=True))
    return pa.table(
        {
            "open_time": pa.array([time * 1000 for time in columns[0]]).cast(pa.timestamp("us")),
            **{
                name: [float(value) for value in columns[index]]
                for name, index in {
                    "open": 1,
                    "high": 2,
                    "low": 3,
                    "close": 4,
                    "volume": 5,
                    "quote_volume": 7,
                    "taker_buy_volume": 9,
                    "taker_buy_quote_volume": 10,
                }.items()
            },
            "trade_count": columns[8],
        }
    )


def test_date_header_is_readable(get: Get, exchange: LoopbackExchange) -> None:
    assert parsedate_to_datetime(get("/api/v3/ping").headers["Date"]) == exchange.now
