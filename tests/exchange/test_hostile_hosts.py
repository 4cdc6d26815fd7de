"""Hosts that never come to an end, ask for waits of months, or show another time: what a person at a shell sees."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import duckdb
import pytest

from threadx_duck.cli.main import run

pytestmark = pytest.mark.slow

MINUTE = 60_000
DAY = 1_440 * MINUTE


def write_settings(port: int, *lines: str) -> None:
    Path("paths.toml").write_text(
        f'[data.api]\nbase_url = "http://127.0.0.1:{port}"\nretry_delay = 0.0\nmax_retries = 1\n'
        + "".join(f"{line}\n" for line in lines)
        + "[data.archive]\nenabled = false\n"
    )


# Without an end


@pytest.fixture
def raw() -> Iterator[Callable[[Callable[[socket.socket], None]], int]]:
    """Serves every connection by a function, on a port of its own."""
    listeners: list[socket.socket] = []

    def serve(talk: Callable[[socket.socket], None]) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def one(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                connection.recv(65_536)
                talk(connection)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return int(listener.getsockname()[1])

    yield serve
    for listener in listeners:
        listener.close()


def endlessly(first: bytes, again: bytes) -> Callable[[socket.socket], None]:
    def talk(connection: socket.socket) -> None:
        connection.sendall(first)
        while True:
            connection.sendall(again)
            time.sleep(0.02)

    return talk


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "talk",
    [
        pytest.param(endlessly(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"a"), id="a header without an end"),
        pytest.param(endlessly(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), id="100 Continue for ever"),
        pytest.param(endlessly(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n", b"["), id="a trickled body"),
        pytest.param(
            endlessly(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x"), id="a chunk's extension"
        ),
        pytest.param(lambda connection: time.sleep(30), id="silence"),
    ],
)
def test_answer_without_an_end_is_ended_at_its_deadline(
    raw: Callable[..., int], capsys: pytest.CaptureFixture[str], talk: Callable[[socket.socket], None]
) -> None:
    write_settings(raw(talk), "timeout_seconds = 0.5")
    assert run(["ingest", "BTCUSDC", "--start", "2024-01-01", "--end", "2024-01-01"]) == 1
    assert "took longer than 0.5 seconds; see [data.api] timeout_seconds." in capsys.readouterr().err


def test_overdue_proxy_is_ended_at_its_deadline(raw: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    port = raw(endlessly(b"HTTP/1.1 200 Connection established\r\nX-Slow: ", b"a"))
    Path("paths.toml").write_text(
        f'[data.api]\nproxy = "http://127.0.0.1:{port}"\ntimeout_seconds = 0.5\nmax_retries = 0\n'
        "[data.archive]\nenabled = false\n"
    )
    assert run(["ingest", "BTCUSDC", "--start", "2024-01-01", "--end", "2024-01-01"]) == 1
    assert "took longer than 0.5 seconds" in capsys.readouterr().err


# Redirects


def sending_on(location: bytes, body: bytes = b"", rest: bytes = b"") -> bytes:
    header = b"HTTP/1.1 302 Found\r\nConnection: close\r\nLocation: %s\r\nContent-Length: %d\r\n" % (
        location,
        len(body),
    )
    return header + rest + b"\r\n" + body


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        pytest.param(b"https://user:secret@other.test/a?b=1", "to 'https://other.test/a?b=1'", id="with a password"),
        pytest.param(b"/else\x1b[31m", r"to '/else\x1b[31m'", id="with an escape sequence"),
        pytest.param(b"http://\xff\xfe/", "to 'http://ÿþ/'", id="in no encoding"),
        pytest.param(b"http://[::1/", "to 'http://[::1/'", id="no address"),
        pytest.param(b"http://" + b"a" * 5_000, f"to 'http://{'a' * 193}'", id="long"),
    ],
)
@pytest.mark.parametrize("source", ["rest", "archive"])
def test_redirect_is_refused_in_one_line_that_names_where(
    raw: Callable[..., int], capsys: pytest.CaptureFixture[str], source: str, location: bytes, shown: str
) -> None:
    port = raw(lambda connection: connection.sendall(sending_on(location)))
    write_settings(port)
    if source == "archive":
        settings = Path("paths.toml").read_text().replace("false", f'true\nbase_url = "http://127.0.0.1:{port}"')
        Path("paths.toml").write_text(settings)
    options = ["--start", "2024-01-01", "--end", "2024-01-31", "--source", source]
    assert run(["ingest", "BTCUSDC", *options]) == 1
    (error,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("threadx: error:")]
    assert shown in error
    assert "secret" not in error
    assert "(302)" in error


def test_body_of_a_redirect_is_bounded(raw: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    bomb = gzip.compress(b"0" * (32 << 20))
    write_settings(
        raw(lambda connection: connection.sendall(sending_on(b"/else", bomb, b"Content-Encoding: gzip\r\n")))
    )
    assert run(["ingest", "BTCUSDC", "--start", "2024-01-01", "--end", "2024-01-01"]) == 1
    assert "sends more than 8,388,608 bytes" in capsys.readouterr().err


# Waits, clocks and pages without progress


class Exchange(ThreadingHTTPServer):
    """Ten days of candles up to now. ``header`` makes the headers of an answer, ``clock`` what it tells of its time."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.first = int(time.time()) // 86_400 * DAY - 10 * DAY
        self.status = 200
        self.header: Callable[[], dict[str, str]] = dict
        self.clock: Callable[[], Any] = lambda: int(time.time() * 1000)
        self.rows: Callable[[int, int, int], list[Any]] = self.minutes
        self.info: Any = {}
        self.asked = 0

    def minutes(self, start: int, end: int, limit: int) -> list[Any]:
        opens = range(max(self.first, -(-start // MINUTE) * MINUTE), end + 1, MINUTE)[:limit]
        return [[t, "10.0", "11.0", "9.0", "10.5", "2.0", t + 59_999, "20.0", 3, "1.0", "10.0", "0"] for t in opens]


class _Handler(BaseHTTPRequestHandler):
    server: Exchange

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query, now = dict(parse_qsl(url.query)), int(time.time() * 1000)
        body: Any = {"serverTime": self.server.clock()}
        if url.path.endswith("/klines"):
            self.server.asked += 1
            end = min(int(query.get("endTime", now)), now)
            body = self.server.rows(int(query["startTime"]), end, int(query["limit"]))
        elif url.path.endswith("/exchangeInfo"):
            body = self.server.info
        headers = self.server.header()
        self.send_response_only(self.server.status if url.path.endswith("/klines") else 200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    with Exchange() as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        write_settings(serving.server_port)
        yield serving
        serving.shutdown()


def count() -> int:
    with duckdb.connect("data/threadx.duckdb", read_only=True) as connection:
        return int(connection.execute("select count(*) from candles_1m").fetchall()[0][0])


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    "wait",
    [
        pytest.param("7776000", id="months"),
        pytest.param("9" * 40, id="longer than the calendar"),
        pytest.param(format_datetime(datetime.now(UTC) + timedelta(days=40), usegmt=True), id="a date"),
    ],
)
def test_host_that_asks_for_a_long_wait_is_not_waited_for(
    exchange: Exchange, capsys: pytest.CaptureFixture[str], status: int, wait: str
) -> None:
    exchange.status = status
    exchange.header = lambda: {"Retry-After": wait}
    assert run(["ingest", "BTCUSDC", "--start", "2024-01-01", "--end", "2024-01-01"]) == 1
    assert f"answered {status} and asks to wait until " in capsys.readouterr().err
    assert exchange.asked == 1


@pytest.mark.parametrize(
    ("status", "why"),
    [
        pytest.param(429, "is over its request limit (429).", id="429"),
        pytest.param(503, "asks to wait (503).", id="503"),
    ],
)
def test_wait_that_is_obeyed_is_said(
    exchange: Exchange, capsys: pytest.CaptureFixture[str], status: int, why: str
) -> None:
    def header() -> dict[str, str]:
        exchange.status = status if exchange.asked == 1 else 200
        return {"Retry-After": "6"}

    exchange.status = status
    exchange.header = header
    day = datetime.fromtimestamp(exchange.first / 1000, UTC) + timedelta(days=2)
    named = f"{day:%Y-%m-%d}"
    assert run(["ingest", "BTCUSDC", "--start", named, "--end", named]) == 0
    assert f"{why} Waiting 6 seconds, until " in capsys.readouterr().err
    assert count() == 1_440


@pytest.mark.parametrize(
    "date",
    [
        pytest.param(lambda: format_datetime(datetime.now(UTC) - timedelta(days=1), usegmt=True), id="a day behind"),
        pytest.param(lambda: format_datetime(datetime.now(UTC) + timedelta(hours=9), usegmt=True), id="hours ahead"),
        pytest.param(lambda: "Fri, 31 Dec 9999 23:59:59 GMT", id="year 9999"),
        pytest.param(lambda: "Mon, 01 Jan 0001 00:00:00 GMT", id="year 1"),
        pytest.param(lambda: "yesterday", id="no date"),
        pytest.param(lambda: f"{datetime.now(UTC):%a, %d %b %Y %H:%M:%S} -0000", id="without a zone"),
    ],
)
def test_date_header_that_is_off_changes_no_candle(
    exchange: Exchange, capsys: pytest.CaptureFixture[str], date: Callable[[], str]
) -> None:
    exchange.header = lambda: {"Date": date()}
    begin = int(time.time()) * 1000 // MINUTE
    assert run(["ingest", "BTCUSDC"]) == 0, capsys.readouterr().err
    end = int(time.time()) * 1000 // MINUTE
    first = exchange.first // MINUTE
    assert begin - first <= count() <= end - first
    is_said = "the clock is taken" in capsys.readouterr().err
    assert is_said == (abs(time.time() - _seconds(date())) > 300 and "9999" not in date() and "0001" not in date())


def _seconds(date: str) -> float:
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        return time.time()
    return moment.replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize("clock", [-1, 0, 10**30, 1.5e12, "1700000000000", True, None, [1], 253_402_300_800_000])
def test_clock_that_cannot_be_is_told_in_one_line(
    exchange: Exchange, capsys: pytest.CaptureFixture[str], clock: Any
) -> None:
    exchange.clock = lambda: clock
    assert run(["ingest", "BTCUSDC"]) == 1
    error = capsys.readouterr().err
    assert "did not tell the time" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("years", [-1, 1, 10])
def test_clock_that_header_and_machine_contradict_changes_no_candle(
    exchange: Exchange, capsys: pytest.CaptureFixture[str], years: int
) -> None:
    exchange.clock = lambda: int(time.time() * 1000) + 365 * years * DAY
    exchange.header = lambda: {"Date": format_datetime(datetime.now(UTC), usegmt=True)}
    begin = int(time.time()) * 1000 // MINUTE
    assert run(["ingest", "BTCUSDC"]) == 0
    end = int(time.time()) * 1000 // MINUTE
    first = exchange.first // MINUTE
    assert begin - first <= count() <= end - first
    assert "This machine's clock agrees with the former, which is taken." in capsys.readouterr().err


def test_candles_of_the_future_are_refused(exchange: Exchange, capsys: pytest.CaptureFixture[str]) -> None:
    behind = timedelta(days=2)
    exchange.header = lambda: {"Date": format_datetime(datetime.now(UTC) - behind, usegmt=True)}
    exchange.clock = lambda: int((time.time() - behind.total_seconds()) * 1000)
    day = datetime.now(UTC) - timedelta(days=1)
    assert run(["ingest", "BTCUSDC", "--start", f"{day:%Y-%m-%d}", "--end", f"{day:%Y-%m-%d}"]) == 2
    assert ", but by the exchange's clock the last minute that is over ended at " in capsys.readouterr().err
    day -= timedelta(days=1)
    exchange.clock = lambda: int((time.time() - 3 * behind.total_seconds()) * 1000)
    exchange.header = lambda: {"Date": format_datetime(datetime.now(UTC) - 3 * behind, usegmt=True)}
    assert run(["ingest", "BTCUSDC", "--start", f"{day:%Y-%m-%d}", "--end", f"{day:%Y-%m-%d}"]) == 1
    assert ", though its clock is " in capsys.readouterr().err
    assert not Path("data/threadx.duckdb").exists()


def test_pages_within_one_minute_are_bounded(exchange: Exchange, capsys: pytest.CaptureFixture[str]) -> None:
    def crowded(start: int, end: int, limit: int) -> list[Any]:
        if limit == 1:
            return exchange.minutes(start, end, limit)
        cells = exchange.minutes(exchange.first, exchange.first, 1)[0][1:]
        return [[start + number + 1, *cells] for number in range(limit)]

    exchange.rows = crowded
    named = f"{datetime.fromtimestamp(exchange.first / 1000, UTC):%Y-%m-%d}"
    assert run(["ingest", "BTCUSDC", "--start", named, "--end", named]) == 1
    assert "answers with more than 4,000 rows for 1,000 1m candles of BTCUSDC" in capsys.readouterr().err
    assert exchange.asked < 60


# What a host tells of its limits


def limit_of(limit: Any, **others: Any) -> dict[str, Any]:
    return {"rateLimits": [{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "limit": limit, **others}]}


def ingest_days(exchange: Exchange, days: int = 3) -> int:
    first = datetime.fromtimestamp(exchange.first / 1000, UTC)
    end = first + timedelta(days=days - 1)
    return run(["ingest", "BTCUSDC", "--start", f"{first:%Y-%m-%d}", "--end", f"{end:%Y-%m-%d}"])


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "info",
    [
        pytest.param({"rateLimits": None}, id="none"),
        pytest.param({"rateLimits": {"limit": 1}}, id="no list"),
        pytest.param({"rateLimits": 5}, id="a number"),
        pytest.param({"rateLimits": [[], None, "REQUEST_WEIGHT"]}, id="entries that are none"),
        pytest.param([1], id="a list"),
        *(
            pytest.param(limit_of(limit), id=f"limit {str(limit)[:8]}")
            for limit in (0, -1, 1, True, 599, 2**62, 10**30, 1e300, 6000.5, "1", "many", None, [6000], {"a": 1})
        ),
        pytest.param(limit_of(1_000, intervalNum=-5), id="of another time"),
        pytest.param(limit_of(1_000, interval=["MINUTE"]), id="of an odd time"),
    ],
)
def test_limit_that_cannot_be_leaves_the_usual_one(
    exchange: Exchange, capsys: pytest.CaptureFixture[str], info: Any
) -> None:
    exchange.info = info
    exchange.header = lambda: {"X-MBX-USED-WEIGHT-1M": "1500"}
    assert ingest_days(exchange) == 0
    assert "Waiting" not in capsys.readouterr().err
    assert count() == 3 * 1_440


@pytest.mark.timeout(60)
@pytest.mark.parametrize("used", ["-1", "many", str(2**70), "9" * 9, "9" * 5_000, "1e9", "", "0x10", "5,999"])
def test_counter_that_cannot_be_is_passed_over(
    exchange: Exchange, capsys: pytest.CaptureFixture[str], used: str
) -> None:
    exchange.header = lambda: {"X-MBX-USED-WEIGHT-1M": used}
    assert ingest_days(exchange) == 0
    assert "Waiting" not in capsys.readouterr().err
    assert count() == 3 * 1_440
