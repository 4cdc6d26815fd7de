"""The loopback exchange's scripted faults, as a client meets them."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from threadx_duck.errors import UsageError
from threadx_duck.simulator import LoopbackExchange, generate_market

START = datetime(2024, 1, 1, tzinfo=UTC)
START_MS = 1_704_067_200_000

Ask = Callable[..., requests.Response]


@pytest.fixture
def exchange() -> Iterator[LoopbackExchange]:
    market = generate_market(["BTCUSDC", "ETHUSDC"], start=START, end=START + timedelta(hours=2))
    with LoopbackExchange(market) as serving:
        yield serving


@pytest.fixture
def ask(exchange: LoopbackExchange) -> Iterator[Ask]:
    with requests.Session() as session:
        session.trust_env = False

        def klines(symbol: str = "BTCUSDC", **params: object) -> requests.Response:
            query = {"symbol": symbol, "interval": "1m", "startTime": START_MS, "limit": 10, **params}
            return session.get(exchange.url + "/api/v3/klines", params=query, timeout=10)  # type: ignore[arg-type]

        yield klines


@pytest.mark.parametrize(
    ("status", "details", "content_type", "text"),
    [
        pytest.param(429, {"retry_after": 7}, "application/json", "Too much request weight used", id="429"),
        pytest.param(418, {"retry_after": 7}, "application/json", "IP banned until 1704074407000.", id="418"),
        pytest.param(403, {}, "text/html", "<H1>403 ERROR</H1>", id="403"),
        pytest.param(451, {}, "application/json", '{\n  "code": 0,\n  "msg": "Service unavailable', id="451"),
        pytest.param(500, {}, "text/html", "<html>", id="500"),
        pytest.param(502, {}, "text/html", "<html>", id="502"),
        pytest.param(503, {"body": b"no server"}, "text/html", "no server", id="503-own-body"),
        pytest.param(
            500,
            {"code": -1001},
            "application/json",
            '{"code":-1001,"msg":"Internal error; unable to process your request. Please try again."}',
            id="500-with-code",
        ),
        pytest.param(
            400,
            {"code": -1003},
            "application/json",
            '{"code":-1003,"msg":"Too many requests queued."}',
            id="400",
        ),
    ],
)
def test_fault_status_answers_as_the_exchange_does_once(
    exchange: LoopbackExchange, ask: Ask, status: int, details: dict[str, Any], content_type: str, text: str
) -> None:
    exchange.fail(status, **details)
    reply = ask()
    assert reply.status_code == status
    assert reply.headers["Content-Type"].startswith(content_type)
    assert text in reply.text
    assert reply.headers.get("Retry-After") == ("7" if "retry_after" in details else None)
    assert ask().status_code == 200


def test_fault_strikes_as_often_as_told(exchange: LoopbackExchange, ask: Ask) -> None:
    fault = exchange.fail(503, times=2)
    assert [ask().status_code for _ in range(3)] == [503, 503, 200]
    assert fault.hits == 2


def test_fault_without_end_strikes_until_cleared(exchange: LoopbackExchange, ask: Ask) -> None:
    exchange.fail(503, times=None)
    assert [ask().status_code for _ in range(3)] == [503] * 3
    exchange.clear_faults()
    assert ask().status_code == 200


@pytest.mark.parametrize(
    "match",
    [
        pytest.param("ETHUSDC", id="symbol"),
        pytest.param(lambda request: request.params["symbol"] == "ETHUSDC", id="function"),
    ],
)
def test_fault_strikes_only_what_matches(exchange: LoopbackExchange, ask: Ask, match: Any) -> None:
    exchange.fail(503, match=match)
    assert [ask("BTCUSDC").status_code, ask("ETHUSDC").status_code] == [200, 503]


def test_fault_for_a_path_leaves_others_alone(exchange: LoopbackExchange, ask: Ask) -> None:
    exchange.fail(503, match="/api/v3/exchangeInfo")
    assert ask().status_code == 200


def test_faults_strike_in_their_order(exchange: LoopbackExchange, ask: Ask) -> None:
    exchange.fail(500)
    exchange.fail(502)
    assert [ask().status_code for _ in range(3)] == [500, 502, 200]


def test_fault_of_an_unknown_kind_is_refused(exchange: LoopbackExchange) -> None:
    with pytest.raises(UsageError, match="Unknown fault 'explode'"):
        exchange.fail("explode")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "details", "message"),
    [
        pytest.param(429, {"retry_afetr": 1}, "429 takes no retry_afetr; it takes body, code", id="misspelt"),
        pytest.param("drop", {"seconds": 1}, "'drop' takes no seconds; it takes nothing", id="useless"),
        pytest.param("wrong_date", {}, "'wrong_date' needs offset", id="missing"),
    ],
)
def test_fault_with_impossible_details_is_refused(
    exchange: LoopbackExchange, kind: Any, details: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        exchange.fail(kind, **details)


def test_url_before_serving_is_refused() -> None:
    market = generate_market(["BTCUSDC"], start=START, end=START + timedelta(hours=1))
    with pytest.raises(UsageError, match="not serving"):
        _ = LoopbackExchange(market).url


def test_fault_drop_ends_the_connection_without_an_answer(exchange: LoopbackExchange, ask: Ask) -> None:
    exchange.fail("drop")
    with pytest.raises(requests.ConnectionError):
        ask()
    assert exchange.requests[0].status is None
    assert ask().status_code == 200


def test_fault_truncate_sends_less_than_it_promised(exchange: LoopbackExchange, ask: Ask) -> None:
    exchange.fail("truncate")
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        ask()


def test_fault_cut_body_has_the_right_length_and_no_end(exchange: LoopbackExchange, ask: Ask) -> None:
    exchange.fail("cut_body")
    reply = ask()
    assert reply.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        json.loads(reply.text)


def test_fault_stall_ends_when_the_exchange_closes(exchange: LoopbackExchange) -> None:
    exchange.fail("stall", seconds=3600)
    port = int(exchange.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(b"GET /api/v3/klines?symbol=BTCUSDC&interval=1m HTTP/1.1\r\nHost: loopback\r\n\r\n")
        received = client.recv(65_536)
        assert received.startswith(b"HTTP/1.1 200 OK")
        exchange.close()
        while client.recv(65_536):
            pass


def test_fault_trickle_arrives_whole(exchange: LoopbackExchange, ask: Ask) -> None:
    exchange.fail("trickle", bytes=100)
    assert ask().json() == ask().json()


def test_fault_html_200_is_a_page_with_a_good_status(exchange: LoopbackExchange, ask: Ask) -> None:
    exchange.fail("html_200")
    reply = ask()
    assert (reply.status_code, reply.headers["Content-Type"]) == (200, "text/html")
    assert reply.text.startswith("<!DOCTYPE HTML")


def test_fault_body_answers_what_it_is_given(exchange: LoopbackExchange, ask: Ask) -> None:
    exchange.fail("body", body=b'{"rows":[]}')
    assert ask().json() == {"rows": []}


def test_fault_wrong_date_moves_the_header_once(exchange: LoopbackExchange, ask: Ask) -> None:
    exchange.fail("wrong_date", offset=timedelta(days=1))
    assert [ask().headers["Date"][5:7] for _ in range(2)] == ["02", "01"]


def test_fault_wrong_symbol_answers_with_another_symbols_rows(exchange: LoopbackExchange, ask: Ask) -> None:
    exchange.fail("wrong_symbol")
    assert ask("BTCUSDC").json() == ask("ETHUSDC").json()
    assert exchange.requests[0].symbol == "BTCUSDC"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        pytest.param("duplicate_rows", lambda rows: [*rows[:-1], *rows[-2:]], id="duplicate"),
        pytest.param("unordered_rows", lambda rows: [*rows[1:], rows[0]], id="unordered"),
        pytest.param("extra_columns", lambda rows: [[*row, "0"] for row in rows], id="extra"),
        pytest.param("empty_rows", lambda rows: [], id="empty"),
    ],
)
def test_fault_in_rows_garbles_a_good_answer(
    exchange: LoopbackExchange, ask: Ask, kind: Any, expected: Callable[[list[Any]], list[Any]]
) -> None:
    good = ask().json()
    exchange.fail(kind)
    assert ask().json() == expected(good)
    assert ask().json() == good


@pytest.mark.parametrize(("kind", "value"), [("null_values", None), ("text_values", "not a number")])
def test_fault_in_values_spoils_one(exchange: LoopbackExchange, ask: Ask, kind: Any, value: object) -> None:
    exchange.fail(kind)
    assert [row[4] for row in ask().json()].count(value) == 1


def test_fault_rows_outside_window_are_in_order(exchange: LoopbackExchange, ask: Ask) -> None:
    exchange.fail("rows_outside_window")
    window = {"startTime": START_MS + 600_000, "endTime": START_MS + 1_199_999}
    opened = [row[0] for row in ask(**window).json()]
    assert opened == sorted(opened)
    assert (opened[0], opened[-1]) == (START_MS + 540_000, START_MS + 1_200_000)
    assert len(opened) == 12


def test_faulty_answers_still_count_their_weight(exchange: LoopbackExchange, ask: Ask) -> None:
    exchange.fail(503)
    assert [ask().headers["X-MBX-USED-WEIGHT-1M"] for _ in range(2)] == ["2", "4"]


def test_latency_is_cut_short_by_close(exchange: LoopbackExchange) -> None:
    exchange.latency = 3600
    port = int(exchange.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(b"GET /api/v3/ping HTTP/1.1\r\nHost: loopback\r\n\r\n")
        while not exchange.requests:
            threading.Event().wait(0.001)
        exchange.close()
        while client.recv(65_536):
            pass
    # The hour is not over, but its request is past it.
    assert [request.status for request in exchange.requests] == [200]


def test_close_leaves_no_thread_and_no_open_connection() -> None:
    market = generate_market(["BTCUSDC"], start=START, end=START + timedelta(hours=1))
    with LoopbackExchange(market) as serving, requests.Session() as session:
        session.trust_env = False
        session.get(serving.url + "/api/v3/ping", timeout=10)
        port = serving.url.rpartition(":")[2]
        serving.close()
        serving.close()
        assert not [thread.name for thread in threading.enumerate() if thread.name == f"loopback-{port}"]
        with pytest.raises(requests.ConnectionError):
            session.get(serving.url + "/api/v3/ping", timeout=10)
