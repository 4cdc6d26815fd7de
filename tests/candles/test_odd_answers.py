"""An exchange whose answers change their shape, or are empty once: what a person is told, and what is believed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import duckdb
import pytest

from threadx_duck.candles.klines import read_kline_rows
from threadx_duck.cli.main import run

MINUTE = 60_000
DAY = 1_440 * MINUTE


class Exchange(ThreadingHTTPServer):
    """Ten days of candles up to now; ``shape`` changes each row, windows in ``hidden`` are answered empty once."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.first = int(time.time()) // 86_400 * DAY - 10 * DAY
        self.shape: Any = list
        self.hidden: set[int] = set()
        self.asked = 0
        self.listing: Any = None

    def rows(self, start: int, end: int, limit: int) -> list[Any]:
        if start in self.hidden:
            self.hidden.discard(start)
            return []
        opens = range(max(self.first, -(-start // MINUTE) * MINUTE), end + 1, MINUTE)[:limit]
        return [
            self.shape([t, "10.0", "11.0", "9.0", "10.5", "2.0", t + 59_999, "20.0", 3, "1.0", "10.0", "0"])
            for t in opens
        ]


class _Handler(BaseHTTPRequestHandler):
    server: Exchange

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query, now = dict(parse_qsl(url.query)), int(time.time() * 1000)
        body: Any = {"serverTime": now}
        if url.path.endswith("/klines"):
            self.server.asked += 1
            end = min(int(query.get("endTime", now)), now)
            body = self.server.rows(int(query["startTime"]), end, int(query["limit"]))
        elif url.path.endswith("/exchangeInfo"):
            body = {"symbols": self.server.listing}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    with Exchange() as serving:
        Thread(target=serving.serve_forever, daemon=True).start()
        (tmp_path / "paths.toml").write_text(
            f'[data.api]\nbase_url = "http://127.0.0.1:{serving.server_port}"\nretry_delay = 0.0\nmax_retries = 1\n'
            "[data.archive]\nenabled = false\n"
        )
        yield serving
        serving.shutdown()


def day(exchange: Exchange, number: int) -> list[str]:
    """The options that name one day of the exchange."""
    named = time.strftime("%Y-%m-%d", time.gmtime((exchange.first + number * DAY) / 1000))
    return ["--start", named, "--end", named]


def query(statement: str) -> list[tuple[Any, ...]]:
    with duckdb.connect("data/threadx.duckdb", read_only=True) as connection:
        return connection.execute(statement).fetchall()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "is_read"),
    [
        pytest.param(lambda row: [*row, "new"], True, id="13 cells"),
        pytest.param(lambda row: [float(c) if isinstance(c, str) else c for c in row], True, id="numbers"),
        pytest.param(lambda row: {"openTime": row[0], "open": row[1]}, False, id="objects"),
        pytest.param(lambda row: [row[0], "1m", *row[1:]], False, id="a cell in between"),
        pytest.param(lambda row: [row[0], row[2], row[1], row[4], row[3], *row[5:]], False, id="prices in disorder"),
    ],
)
def test_day_in_another_shape_is_read_or_asked_again_later(
    exchange: Exchange, capsys: pytest.CaptureFixture[str], shape: Any, is_read: bool
) -> None:
    assert run(["ingest", "BTCUSDC", *day(exchange, 1)]) == 0
    exchange.shape = shape
    assert run(["ingest", "BTCUSDC", *day(exchange, 2)]) == (0 if is_read else 1)
    if not is_read:
        assert "no candles as the exchange writes them" in capsys.readouterr().err
    exchange.shape = list
    assert run(["ingest", "BTCUSDC", *day(exchange, 2)]) == 0
    assert query("select count(*) from candles_1m") == [(2 * 1_440,)]
    assert query("select count(*) from gaps where reason <> 'not_downloaded'") == [(0,)]
    assert query("select count(*) from rejected_rows") == [(0,)]


def as_numbers(row: list[Any]) -> list[Any]:
    return [float(cell) if isinstance(cell, str) else cell for cell in row]


def without_cell(number: int, row: list[Any]) -> list[Any]:
    return row[:number] + row[number + 1 :]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["texts", "numbers"])
@pytest.mark.parametrize("lost", range(12))
def test_day_whose_rows_lost_a_cell_is_read_only_if_nothing_is_lost(
    exchange: Exchange, capsys: pytest.CaptureFixture[str], lost: int, kind: str
) -> None:
    exchange.shape = lambda row: without_cell(lost, row if kind == "texts" else as_numbers(row))
    is_read = lost == 11
    assert run(["ingest", "BTCUSDC", *day(exchange, 2)]) == (0 if is_read else 1)
    error = capsys.readouterr().err
    # Without its open time, already the first row that is asked for says nothing.
    assert ("no candles as the exchange writes them" in error or "has no open time" in error) is not is_read
    exchange.shape = list
    asked = exchange.asked
    assert run(["ingest", "BTCUSDC", *day(exchange, 2)]) == 0
    assert (exchange.asked == asked) is is_read
    assert query("select count(*), min(quote_volume), max(trade_count), min(taker_buy_volume) from candles_1m") == [
        (1_440, 20.0, 3, 1.0)
    ]


def cheap(number: int) -> list[Any]:
    """A minute of a coin of a fraction of a cent, whose amounts are whole; five of six minutes have no trade."""
    t = 1_700_000_040_000 + number * MINUTE
    if number % 6:
        return [t, "0.5", "0.5", "0.5", "0.5", "0.0", t + 59_999, "0.0", 0, "0.0", "0.0", "0"]
    return [t, "0.5", "0.5", "0.5", "0.5", "8.0", t + 59_999, "4.0", 4, "4.0", "2.0", "0"]


@pytest.mark.parametrize("change", [list, as_numbers])
@pytest.mark.parametrize("lost", range(12))
def test_quiet_minutes_do_not_vouch_for_rows_that_lost_a_cell(lost: int, change: Any) -> None:
    klines = read_kline_rows("XUSDC", [without_cell(lost, change(cheap(number))) for number in range(60)])
    assert klines.candles.num_rows == (60 if lost == 11 else 0)
    assert klines.rejected.num_rows == (0 if lost == 11 else 60)


@pytest.mark.parametrize("place", range(13))
def test_row_with_a_cell_more_is_read_only_behind_those_that_are_read(place: int) -> None:
    rows = [cheap(number) for number in range(60)]
    klines = read_kline_rows("XUSDC", [[*row[:place], "7", *row[place:]] for row in rows])
    assert klines.candles.num_rows == (60 if place >= 11 else 0)
    if place >= 11:
        assert klines.candles.equals(read_kline_rows("XUSDC", rows).candles)


def test_row_that_is_cut_does_not_cost_the_others() -> None:
    rows = [cheap(number) for number in range(60)]
    klines = read_kline_rows("XUSDC", [*rows[:30], rows[30][:5], *rows[31:]])
    assert (klines.candles.num_rows, klines.rejected["reason"].to_pylist()) == (59, ["unreadable"])


def test_page_that_is_empty_once_leaves_no_hole(exchange: Exchange) -> None:
    exchange.hidden = {exchange.first + 3 * DAY, exchange.first + 3 * DAY + 1_000 * MINUTE}
    assert run(["ingest", "BTCUSDC", *day(exchange, 3)]) == 0
    assert exchange.hidden == set()
    assert query("select count(*) from candles_1m") == [(1_440,)]
    asked = exchange.asked
    assert run(["ingest", "BTCUSDC", *day(exchange, 3)]) == 0
    assert exchange.asked == asked


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cell", "value"),
    [
        pytest.param(8, 2**63 - 1, id="trades"),
        pytest.param(2, "1e308", id="high"),
        pytest.param(7, "1.7e308", id="quote volume"),
    ],
)
def test_numbers_that_no_minute_reaches_are_rejected_and_the_day_stays_readable(
    exchange: Exchange, capsys: pytest.CaptureFixture[str], cell: int, value: Any
) -> None:
    def shape(row: list[Any]) -> list[Any]:
        is_odd = (row[0] - exchange.first) // MINUTE % 1_440 in {7, 8}
        return [value if is_odd and number == cell else old for number, old in enumerate(row)]

    exchange.shape = shape
    assert run(["ingest", "BTCUSDC", *day(exchange, 2)]) == 0
    assert query("select count(*) from candles_1m") == [(1_438,)]
    assert query("select distinct reason, count(*) from rejected_rows group by all") == [("impossible_size", 2)]
    assert run(["candles", "BTCUSDC", "1h", *day(exchange, 2)]) == 0
    assert run(["check"]) in {0, 3}
    assert "impossible_size" not in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("planted", ["trade_count = 9223372036854775807", "high = 1e308", "volume = 1.7e308"])
def test_numbers_that_no_minute_reaches_are_found_in_a_store_that_has_them(
    exchange: Exchange, capsys: pytest.CaptureFixture[str], planted: str
) -> None:
    assert run(["ingest", "BTCUSDC", *day(exchange, 2)]) == 0
    with duckdb.connect("data/threadx.duckdb") as connection:
        connection.execute(f"update candles_1m set {planted} where extract(minute from open_time) < 2")
    capsys.readouterr()
    assert run(["check", "--json"]) == 3
    found = {finding["name"]: finding["rows"] for finding in json.loads(capsys.readouterr().out)["checks"]}
    assert found["impossible_size"] == 48


@pytest.mark.slow
@pytest.mark.parametrize(
    "odd",
    [
        pytest.param({"symbol": 7}, id="number"),
        pytest.param({"quoteAsset": None}, id="null"),
        pytest.param({"baseAsset": ["X"]}, id="list"),
        pytest.param({"symbol": "A" * 10_000_000}, id="ten megabytes"),
        pytest.param({"status": ""}, id="empty"),
        pytest.param({"symbol": "BTCUSDC", "status": "BREAK"}, id="twice and not alike"),
    ],
)
def test_list_of_symbols_that_can_be_none_is_refused_in_one_line(
    exchange: Exchange, capsys: pytest.CaptureFixture[str], odd: dict[str, Any]
) -> None:
    good = {"symbol": "BTCUSDC", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDC"}
    exchange.listing = [good, good]
    assert run(["symbols", "--names"]) == 0
    assert capsys.readouterr().out == "BTCUSDC\n"
    Path("data/symbols.json").unlink()
    exchange.listing = [good, good | {"symbol": "ETHUSDC"} | odd]
    assert run(["symbols", "--names"]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "did not tell its symbols." in told.err
    assert told.err.count("\n") == 1
    assert len(told.err) < 300
    assert not Path("data/symbols.json").exists()
