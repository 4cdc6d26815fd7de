"""The REST source: what it asks, how it pages, and what it makes of every answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest
import requests
from requests_mock import Mocker

from threadx_duck.candles.ranges import TimeRange
from threadx_duck.candles.timeframes import ONE_MINUTE, parse_timeframe
from threadx_duck.candles.times import MINUTE
from threadx_duck.config import ApiSettings
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
from threadx_duck.exchange import budget as budget_module
from threadx_duck.exchange.rest import RestSource
from threadx_duck.ledger.page import Page
from threadx_duck.simulator import LoopbackExchange

HOST = "https://api.test"
KLINES = f"{HOST}/api/v3/klines"
START = datetime(2024, 1, 1)
START_MS = 1_704_067_200_000
MINUTE_MS = 60_000
LONG_AFTER = datetime(2024, 6, 1)

HTML_403 = (
    '<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01 Transitional//EN"><HTML><HEAD>'
    "<TITLE>ERROR: The request could not be satisfied</TITLE></HEAD>"
    "<BODY><H1>403 ERROR</H1>Request blocked.</BODY></HTML>"
)
BODY_451 = (
    '{\n  "code": 0,\n  "msg": "Service unavailable from a restricted location according to \'b. Eligibility\' in '
    "https://www.binance.com/en/terms. Please contact customer service if you believe you received this message "
    'in error."\n}'
)


def error_body(code: int, text: str = "Some text.") -> str:
    return orjson.dumps({"code": code, "msg": text}).decode()


def row(open_ms: int) -> list[Any]:
    return [open_ms, "10.0", "12.0", "9.0", "11.0", "2.0", open_ms + 59_999, "20.0", 5, "1.0", "10.0", "0"]


def minute(number: int) -> datetime:
    return START + number * MINUTE


def span(first: int, last: int) -> TimeRange:
    return TimeRange(minute(first), minute(last))


def opens(pages: list[Page]) -> list[int]:
    """The open times of all candles, as minutes after the start."""
    return [(moment - START) // MINUTE for page in pages for moment in page.candles["open_time"].to_pylist()]


def date_header(moment: datetime) -> dict[str, str]:
    return {"Date": format_datetime(moment.replace(tzinfo=UTC), usegmt=True)}


class Waits(threading.Event):
    """An event whose waits take no time and are written down; the budget's clock runs by them."""

    def __init__(self) -> None:
        super().__init__()
        self.waited: list[float] = []
        self.now = 1_000.0

    def wait(self, timeout: float | None = None) -> bool:
        if timeout:
            self.waited.append(timeout)
            self.now += timeout
        return self.is_set()

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def stop(monkeypatch: pytest.MonkeyPatch) -> Waits:
    waits = Waits()
    monkeypatch.setattr(budget_module, "time", waits)
    return waits


@pytest.fixture
def make_source(stop: Waits) -> Iterator[Callable[..., RestSource]]:
    made: list[RestSource] = []

    def make(**values: Any) -> RestSource:
        usual = ApiSettings(base_url=HOST, retry_delay=0.0, max_retries=2, rate_limit_calls=100_000)
        made.append(RestSource(replace(usual, **values), stop))
        return made[-1]

    yield make
    for source in made:
        source.close()


def serve(mock: Mocker, minutes: list[float], now: datetime = LONG_AFTER) -> Callable[[Any, Any], bytes]:
    """Answers like the exchange over candles that open at some minutes after the start; returns what answers."""
    times = [START_MS + round(number * MINUTE_MS) for number in minutes]

    def answer(request: Any, context: Any) -> bytes:
        query = {name: values[0] for name, values in parse_qs(urlsplit(request.url).query).items()}
        first, last = int(query.get("startTime", 0)), int(query.get("endTime", 10**15))
        context.headers.update(date_header(now))
        return orjson.dumps([row(time) for time in times if first <= time <= last][: int(query["limit"])])

    mock.get(KLINES, content=answer)
    return answer


def fetch(source: RestSource, wanted: TimeRange, lookahead: int = 2, symbol: str = "BTCUSDC") -> list[Page]:
    return list(source.fetch_range(symbol, ONE_MINUTE, wanted, lookahead))


def asked(mock: Mocker) -> list[dict[str, str]]:
    return [
        {name: values[0] for name, values in parse_qs(urlsplit(request.url).query).items()}
        for request in mock.request_history
    ]


# What is asked


def test_a_range_is_asked_by_open_times_both_inclusive(make_source: Any, requests_mock: Mocker) -> None:
    serve(requests_mock, [0, 1, 2])
    (page,) = fetch(make_source(), span(0, 3))
    assert [request.url for request in requests_mock.request_history] == [
        f"{KLINES}?symbol=BTCUSDC&interval=1m&startTime={START_MS}&endTime={START_MS + 3 * MINUTE_MS - 1}&limit=1000"
    ]
    assert page.url == requests_mock.request_history[0].url
    assert opens([page]) == [0, 1, 2]


@pytest.mark.parametrize(
    ("symbol", "encoded"),
    [
        pytest.param("币安人生USDT", "%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT", id="not ASCII"),
        pytest.param("A&B=C/D E", "A%26B%3DC%2FD%20E", id="marks of a query"),
    ],
)
def test_a_symbol_is_percent_encoded(make_source: Any, requests_mock: Mocker, symbol: str, encoded: str) -> None:
    serve(requests_mock, [0])
    fetch(make_source(), span(0, 1), symbol=symbol)
    assert f"?symbol={encoded}&interval=1m&" in requests_mock.request_history[0].url
    assert asked(requests_mock)[0]["symbol"] == symbol


def test_a_timeframe_is_asked_by_the_exchanges_interval(make_source: Any, requests_mock: Mocker) -> None:
    serve(requests_mock, [0])
    list(make_source().fetch_range("BTCUSDC", parse_timeframe("1mo"), span(0, 44_640), 2))
    assert asked(requests_mock)[0]["interval"] == "1M"


@pytest.mark.parametrize("base_url", [HOST, f"{HOST}/", f"{HOST}/proxy/"], ids=["plain", "slash", "path"])
def test_base_url_and_endpoint_make_the_address(make_source: Any, requests_mock: Mocker, base_url: str) -> None:
    expected = f"{base_url.rstrip('/')}/other/candles"
    requests_mock.get(expected, text="[]")
    requests_mock.get(f"{base_url.rstrip('/')}/other/time", text='{"serverTime":1704067200000}')
    source = make_source(base_url=base_url, klines_endpoint="/other/candles")
    fetch(source, span(0, 1))
    assert requests_mock.request_history[0].url.partition("?")[0] == expected
    assert source.server_time() == START


def test_the_environment_and_redirects_are_not_followed(
    make_source: Any, exchange: LoopbackExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere.pem")
    source = make_source(base_url=exchange.url)
    assert len(opens(fetch(source, span(0, 60)))) == 60
    assert source._client._session.trust_env is False


def test_a_redirect_is_refused(make_source: Any, requests_mock: Mocker) -> None:
    requests_mock.get(KLINES, status_code=302, headers={"Location": "https://elsewhere.test/"})
    where = r"^api\.test sends the request on to 'https://elsewhere\.test/' \(302\)\. Redirects are not followed; "
    with pytest.raises(DownloadError, match=where + r"see \[data\.api\] base_url\.$"):
        fetch(make_source(), span(0, 1))
    assert requests_mock.call_count == 1


def test_proxy_and_certificates_reach_the_session(make_source: Any) -> None:
    session = make_source(proxy="http://proxy.test:3128", ca_bundle="/own.pem")._client._session
    assert session.proxies == {"http": "http://proxy.test:3128", "https": "http://proxy.test:3128"}
    assert session.verify == "/own.pem"
    plain = make_source()._client._session
    assert plain.proxies == {}
    assert plain.verify is True


def test_a_proxy_that_does_not_answer_is_named(make_source: Any) -> None:
    source = make_source(base_url="http://127.0.0.1:9", proxy="http://127.0.0.1:9", max_retries=0)
    with pytest.raises(
        ConnectionFailedError, match=r"^The proxy http://127\.0\.0\.1:9 did not connect to 127\.0\.0\.1:9"
    ):
        source.server_time()


def test_a_missing_certificate_file_is_an_error_of_the_download(make_source: Any) -> None:
    source = make_source(base_url="https://127.0.0.1:9", ca_bundle="/nowhere.pem", max_retries=0)
    with pytest.raises(DownloadError, match=r"/nowhere\.pem"):
        source.server_time()


# Paging


def test_pages_of_a_range_join_and_come_in_order(make_source: Any, requests_mock: Mocker) -> None:
    serve(requests_mock, list(range(2_500)))
    pages = fetch(make_source(), span(0, 2_500))
    assert opens(pages) == list(range(2_500))
    assert [(page.range_start, page.range_end) for page in pages] == [
        tuple(span(0, 1_000)),
        tuple(span(1_000, 2_000)),
        tuple(span(2_000, 2_500)),
    ]
    assert requests_mock.call_count == 3


def test_a_page_filled_by_off_grid_rows_is_asked_on_a_millisecond_later(
    make_source: Any, requests_mock: Mocker
) -> None:
    # Two rows per minute, the second one off the grid: a page ends in the middle of its window.
    serve(requests_mock, [number / 2 for number in range(1_300)] + list(range(650, 1_000)))
    (page,) = fetch(make_source(), span(0, 1_000))
    assert opens([page]) == list(range(1_000))
    assert page.rejected.num_rows == 650
    assert set(page.rejected["reason"].to_pylist()) == {"off_grid"}
    starts = [int(query["startTime"]) - START_MS for query in asked(requests_mock)]
    assert starts == [0, 499 * MINUTE_MS + 30_001]
    assert len(page.bodies) == 2


def test_a_page_that_ends_between_two_rows_of_a_minute_loses_neither(make_source: Any, requests_mock: Mocker) -> None:
    # Row 1000 of the page lies on the grid, row 1001 off it in the same minute, which is not the last one.
    serve(requests_mock, [*range(600), *(600 + number / 401 for number in range(401)), *range(601, 1_000)])
    (page,) = fetch(make_source(), span(0, 1_000))
    assert opens([page]) == list(range(1_000))
    assert page.rejected.num_rows == 400


def test_a_full_page_that_ends_with_its_window_is_not_asked_on(make_source: Any, requests_mock: Mocker) -> None:
    serve(requests_mock, list(range(1_000)))
    fetch(make_source(), span(0, 1_000))
    assert requests_mock.call_count == 1


@pytest.mark.parametrize("lookahead", [1, 2, 8])
def test_a_long_hole_is_one_jump(make_source: Any, requests_mock: Mocker, lookahead: int) -> None:
    candles = [*range(10), *range(90_000, 90_500)]
    serve(requests_mock, candles)
    pages = fetch(make_source(), span(0, 90_500), lookahead)
    assert opens(pages) == candles
    assert all(one.range_end == other.range_start for one, other in pairwise(pages))
    assert (pages[0].range_start, pages[-1].range_end) == tuple(span(0, 90_500))
    assert requests_mock.call_count <= 2 * lookahead + 3


@pytest.mark.parametrize(("minutes", "calls"), [(200_000, 3), (1_000, 2), (1, 2)])
def test_an_empty_range_is_asked_twice_and_once_across(
    make_source: Any, requests_mock: Mocker, minutes: int, calls: int
) -> None:
    serve(requests_mock, [])
    pages = fetch(make_source(), span(0, minutes), lookahead=1)
    assert (pages[0].range_start, pages[-1].range_end) == tuple(span(0, minutes))
    assert requests_mock.call_count == calls
    assert sum(len(page.bodies) for page in pages) == calls


def test_a_page_that_is_empty_once_is_no_proof_of_absence(make_source: Any, requests_mock: Mocker) -> None:
    full = serve(requests_mock, list(range(3_000)))
    hidden = [True]

    def answer(request: Any, context: Any) -> bytes:
        if request.qs["starttime"] == [str(START_MS + 1_000 * MINUTE_MS)] and hidden:
            hidden.clear()
            context.headers.update(date_header(LONG_AFTER))
            return b"[]"
        return full(request, context)

    requests_mock.get(KLINES, content=answer)
    pages = fetch(make_source(), span(0, 3_000), lookahead=4)
    assert opens(pages) == list(range(3_000))
    assert [page.range_start for page in pages[1:]] == [page.range_end for page in pages[:-1]]
    assert pages[-1].range_end == minute(3_000)


def test_an_empty_page_of_the_last_minutes_is_not_asked_twice(make_source: Any, requests_mock: Mocker) -> None:
    serve(requests_mock, [], now=minute(5))
    assert [page.range_end for page in fetch(make_source(), span(2, 5))] == [minute(2)]
    assert requests_mock.call_count == 1


def shaped(rows: list[Any], shape: str) -> list[Any]:
    """Rows of the exchange in another shape."""
    names = ("openTime", "open", "high", "low", "close", "volume", "closeTime", "quote", "count", "base", "taker", "x")
    shapes: dict[str, Callable[[list[Any]], Any]] = {
        "13 cells": lambda cells: [*cells, "new"],
        "11 cells": lambda cells: cells[:11],
        "numbers": lambda cells: [float(cell) if isinstance(cell, str) else cell for cell in cells],
        "count as text": lambda cells: [*cells[:8], str(cells[8]), *cells[9:]],
        "shifted by one": lambda cells: [cells[0], "BTCUSDC", *cells[1:]],
        "10 cells": lambda cells: cells[:10],
        "objects": lambda cells: dict(zip(names, cells, strict=True)),
        "null prices": lambda cells: [cells[0], None, *cells[2:]],
        "close before volume": lambda cells: [cells[0], cells[4], cells[1], cells[3], cells[2], *cells[5:]],
    }
    return [shapes[shape](cells) for cells in rows]


@pytest.mark.parametrize("shape", ["13 cells", "11 cells", "numbers", "count as text"])
def test_rows_in_another_shape_that_lose_nothing_are_read(make_source: Any, requests_mock: Mocker, shape: str) -> None:
    rows = [row(START_MS + number * MINUTE_MS) for number in range(60)]
    requests_mock.get(KLINES, content=orjson.dumps(rows), headers=date_header(LONG_AFTER))
    (usual,) = fetch(make_source(), span(0, 60))
    requests_mock.get(KLINES, content=orjson.dumps(shaped(rows, shape)), headers=date_header(LONG_AFTER))
    (odd,) = fetch(make_source(), span(0, 60))
    assert odd.candles.equals(usual.candles)
    assert odd.candles.num_rows == 60


@pytest.mark.parametrize("shape", ["shifted by one", "10 cells", "objects", "null prices", "close before volume"])
@pytest.mark.parametrize("count", [1, 60])
def test_rows_that_are_not_understood_prove_nothing(
    make_source: Any, requests_mock: Mocker, shape: str, count: int
) -> None:
    if (shape, count) == ("close before volume", 1):
        pytest.skip("one impossible candle is a rejected row")
    rows = [_distinct(START_MS + number * MINUTE_MS) for number in range(count)]
    requests_mock.get(KLINES, content=orjson.dumps(shaped(rows, shape)), headers=date_header(LONG_AFTER))
    with pytest.raises(BadResponseError, match=r"no candles as the exchange writes them|has no open time"):
        fetch(make_source(), span(0, count))


def _distinct(opened: int) -> list[Any]:
    """A row whose four prices differ, so that their order matters."""
    cells = row(opened)
    return [cells[0], "10.5", "12.0", "9.0", "11.0", *cells[5:]]


def test_an_answer_that_ignores_where_it_is_asked_on_is_refused(make_source: Any, requests_mock: Mocker) -> None:
    rows = [row(START_MS + number * MINUTE_MS // 2) for number in range(1_000)]
    requests_mock.get(KLINES, content=orjson.dumps(rows), headers=date_header(LONG_AFTER))
    with pytest.raises(BadResponseError, match="answered with candles of another time"):
        fetch(make_source(max_retries=0), span(0, 1_000))
    assert requests_mock.call_count == 2


# What is closed, and what an answer is conclusive for


def test_a_forming_candle_is_never_taken(make_source: Any, requests_mock: Mocker) -> None:
    serve(requests_mock, list(range(61)), now=minute(60) + timedelta(seconds=59))
    (page,) = fetch(make_source(), span(0, 100))
    assert opens([page]) == list(range(60))
    assert page.range_end == minute(60)


def test_a_candle_is_closed_the_second_its_minute_is_over(make_source: Any, requests_mock: Mocker) -> None:
    serve(requests_mock, list(range(61)), now=minute(61))
    (page,) = fetch(make_source(), span(0, 100))
    assert opens([page]) == list(range(61))


def test_a_forming_hour_is_never_taken(make_source: Any, requests_mock: Mocker) -> None:
    serve(requests_mock, [0, 60, 120], now=minute(179) + timedelta(seconds=59))
    (page,) = make_source().fetch_range("BTCUSDC", parse_timeframe("1h"), span(0, 180), 1)
    assert opens([page]) == [0, 60]


def test_a_forming_month_is_never_taken(make_source: Any, requests_mock: Mocker) -> None:
    serve(requests_mock, [0, 31 * 1_440], now=datetime(2024, 2, 29, 23, 59, 59))
    (page,) = make_source().fetch_range("BTCUSDC", parse_timeframe("1mo"), span(0, 90 * 1_440), 1)
    assert opens([page]) == [0]


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        pytest.param(list(range(60)), 60, id="all there"),
        pytest.param(list(range(57)), 57, id="three late"),
        pytest.param([*range(55), 58], 59, id="a hole and one late"),
        pytest.param(list(range(40)), 50, id="none for longer than ten minutes"),
        pytest.param([], 50, id="none at all"),
    ],
)
def test_a_range_ends_at_the_last_candle_within_ten_minutes(
    make_source: Any, requests_mock: Mocker, present: list[float], expected: int
) -> None:
    serve(requests_mock, present, now=minute(60))
    page = fetch(make_source(), span(0, 60))[-1]
    assert page.range_end == minute(expected)
    assert page.requested_at == minute(60)


def test_no_page_follows_one_that_is_not_conclusive_to_its_end(make_source: Any, requests_mock: Mocker) -> None:
    serve(requests_mock, list(range(995)), now=minute(1_000))
    pages = fetch(make_source(), span(0, 3_000))
    assert [page.range_end for page in pages] == [minute(995)]


def test_a_range_within_ten_minutes_without_candles_is_conclusive_for_nothing(
    make_source: Any, requests_mock: Mocker
) -> None:
    serve(requests_mock, [], now=minute(60))
    (page,) = fetch(make_source(), span(55, 60))
    assert page.range_start == page.range_end == minute(55)


# The first candle


def test_the_first_candle_is_conclusive_for_all_before_it(make_source: Any, requests_mock: Mocker) -> None:
    serve(requests_mock, [7, 8])
    page = make_source().fetch_first("BTCUSDC")
    assert opens([page]) == [7]
    assert (page.range_start, page.range_end) == (datetime(1970, 1, 1), minute(8))
    assert asked(requests_mock) == [{"symbol": "BTCUSDC", "interval": "1m", "startTime": "0", "limit": "1"}]


def test_the_first_candle_of_a_symbol_without_any_is_none(make_source: Any, requests_mock: Mocker) -> None:
    serve(requests_mock, [])
    assert make_source().fetch_first("BTCUSDC") is None


def test_the_first_candle_that_still_forms_is_none(make_source: Any, requests_mock: Mocker) -> None:
    serve(requests_mock, [0], now=minute(0) + timedelta(seconds=30))
    assert make_source().fetch_first("BTCUSDC") is None


def test_a_first_row_that_is_rejected_bounds_the_listing(make_source: Any, requests_mock: Mocker) -> None:
    serve(requests_mock, [7.5, 8])
    page = make_source().fetch_first("BTCUSDC")
    assert (page.candles.num_rows, page.rejected.num_rows) == (0, 0)
    assert (page.range_start, page.range_end) == (datetime(1970, 1, 1), minute(7))


def test_a_first_row_that_cannot_be_read_is_refused(make_source: Any, requests_mock: Mocker) -> None:
    requests_mock.get(KLINES, content=orjson.dumps([[START_MS, *[None] * 11]]))
    page = make_source().fetch_first("BTCUSDC")
    assert page.range_end == START
    requests_mock.get(KLINES, text="[[18446744073709551615]]")
    with pytest.raises(BadResponseError, match="first row"):
        make_source().fetch_first("BTCUSDC")


# The exchange's clock


def test_server_time_is_the_exchanges_clock(make_source: Any, requests_mock: Mocker) -> None:
    requests_mock.get(f"{HOST}/api/v3/time", text='{"serverTime":1499827319559}')
    assert make_source().server_time() == datetime(2017, 7, 12, 2, 41, 59, 559_000)


@pytest.mark.parametrize(
    "body",
    ["{}", "[]", "null", '{"serverTime":null}', '{"serverTime":"1"}', '{"serverTime":1e30}', "7", "<html>", ""],
)
def test_server_time_of_another_body_is_refused(make_source: Any, requests_mock: Mocker, body: str) -> None:
    requests_mock.get(f"{HOST}/api/v3/time", text=body)
    with pytest.raises(BadResponseError):
        make_source().server_time()
    assert requests_mock.call_count == 3


# Answers that are errors: three attempts for what may help, one for what cannot


@pytest.mark.parametrize(
    ("status", "body", "error", "attempts", "message"),
    [
        pytest.param(
            400, error_body(-1121, "Invalid symbol."), UnknownSymbolError, 1, "no symbol 'BTCUSDC'", id="-1121"
        ),
        pytest.param(
            400,
            error_body(
                -1100, r"Illegal characters found in parameter 'symbol'; legal range is '^[\w\-._&&[^a-z]]{1,50}$'."
            ),
            UnknownSymbolError,
            1,
            "no symbol 'BTCUSDC'",
            id="-1100 symbol",
        ),
        pytest.param(
            400,
            error_body(-1100, "Illegal characters found in parameter 'startTime'; legal range is '^[0-9]{1,20}$'."),
            DownloadError,
            1,
            "400, -1100 Illegal characters found in parameter 'startTime'",
            id="-1100 startTime",
        ),
        *(
            pytest.param(
                400,
                error_body(code),
                DownloadError,
                1,
                f"refused the request for BTCUSDC: 400, {code} Some text.",
                id=str(code),
            )
            for code in (
                -1002,
                -1016,
                -1021,
                -1101,
                -1102,
                -1103,
                -1104,
                -1105,
                -1106,
                -1108,
                -1120,
                -1122,
                -1127,
                -1128,
                -1130,
                -1194,
                -1220,
            )
        ),
        *(
            pytest.param(
                status,
                error_body(code),
                ServerFailedError,
                3,
                f"failed to answer for BTCUSDC: {status}, {code}",
                id=f"{code} with {status}",
            )
            for code in (-1000, -1001, -1003, -1007, -1008)
            for status in (400, 503)
        ),
        *(
            pytest.param(
                status,
                "<html>busy</html>",
                ServerFailedError,
                3,
                f"failed to answer for BTCUSDC: {status}.",
                id=str(status),
            )
            for status in (500, 502, 503, 504, 520)
        ),
        pytest.param(
            403, HTML_403, HostRefusedError, 1, '[data.api] base_url = "https://data-api.binance.vision"', id="403"
        ),
        pytest.param(
            451, BODY_451, HostRefusedError, 1, '[data.api] base_url = "https://data-api.binance.vision"', id="451"
        ),
        pytest.param(
            404, "", DownloadError, 1, "nothing at /api/v3/klines (404); see [data.api] klines_endpoint.", id="404"
        ),
        pytest.param(
            400,
            "<html>",
            DownloadError,
            1,
            "refused the request for BTCUSDC: 400.",
            id="400 without a body of its form",
        ),
        pytest.param(400, "[]", DownloadError, 1, "refused the request for BTCUSDC: 400.", id="400 with a list"),
        pytest.param(
            400,
            '{"code":"x","msg":7}',
            DownloadError,
            1,
            "refused the request for BTCUSDC: 400.",
            id="400 with odd types",
        ),
        pytest.param(401, "{}", DownloadError, 1, "refused the request for BTCUSDC: 401.", id="401"),
        pytest.param(204, "", DownloadError, 1, "refused the request for BTCUSDC: 204.", id="204"),
    ],
)
def test_an_error_answer_is_its_error_after_as_many_attempts(
    make_source: Any,
    requests_mock: Mocker,
    status: int,
    body: str,
    error: type[DownloadError],
    attempts: int,
    message: str,
) -> None:
    requests_mock.get(KLINES, status_code=status, text=body)
    with pytest.raises(error) as raised:
        fetch(make_source(), span(0, 1))
    assert type(raised.value) is error
    assert "api.test" in str(raised.value)
    assert message in str(raised.value)
    assert requests_mock.call_count == attempts
    assert raised.value.retryable is (attempts > 1)
    assert raised.value.stops_run is (error is HostRefusedError)


def test_a_lower_case_symbol_is_answered_with_its_upper_case(make_source: Any, requests_mock: Mocker) -> None:
    requests_mock.get(
        KLINES, status_code=400, text=error_body(-1100, "Illegal characters found in parameter 'symbol'.")
    )
    with pytest.raises(UnknownSymbolError) as raised:
        fetch(make_source(), span(0, 1), symbol="btcusdc")
    assert str(raised.value) == "api.test has no symbol 'btcusdc'. Symbols are written in upper case: BTCUSDC."


def test_418_is_not_asked_again_and_says_until_when(make_source: Any, requests_mock: Mocker) -> None:
    body = error_body(-1003, "Way too much request weight used; IP banned until 1660090423228.")
    requests_mock.get(KLINES, status_code=418, text=body, headers={"Retry-After": "90", **date_header(START)})
    with pytest.raises(BannedError, match=r"until 2024-01-01T00:01:30Z \(418\)") as raised:
        fetch(make_source(), span(0, 1))
    assert raised.value.stops_run
    assert not raised.value.retryable
    assert requests_mock.call_count == 1


def test_429_holds_every_thread_back_for_as_long_as_it_says(
    make_source: Any, requests_mock: Mocker, stop: Waits
) -> None:
    requests_mock.get(
        KLINES,
        [
            {"status_code": 429, "text": error_body(-1003), "headers": {"Retry-After": "37"}},
            {"content": orjson.dumps([row(START_MS)]), "headers": date_header(LONG_AFTER)},
        ],
    )
    source = make_source()
    fetch(source, span(0, 1))
    assert stop.waited == [37.0]
    assert requests_mock.call_count == 2
    assert source.budget._paused_until == 1_037.0


@pytest.mark.parametrize(
    "headers",
    [{}, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, {"Retry-After": "-1"}],
    ids=["none", "date", "negative"],
)
def test_429_without_seconds_waits_a_minute(
    make_source: Any, requests_mock: Mocker, stop: Waits, headers: dict[str, str]
) -> None:
    requests_mock.get(KLINES, status_code=429, text=error_body(-1003), headers=headers)
    with pytest.raises(RateLimitedError, match="it asks to wait 60 seconds") as raised:
        fetch(make_source(max_retries=1), span(0, 1))
    assert raised.value.retry_after == 60
    assert stop.waited == [60.0]


def test_a_ban_beyond_the_calendar_still_stops_the_run(make_source: Any, requests_mock: Mocker) -> None:
    requests_mock.get(KLINES, status_code=418, text="", headers={"Retry-After": "9" * 20})
    with pytest.raises(BannedError):
        fetch(make_source(), span(0, 1))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(HTML_403.encode(), id="HTML"),
        pytest.param(b"", id="nothing"),
        pytest.param(orjson.dumps([row(START_MS)])[:-20], id="cut JSON"),
        pytest.param(b"\xff\xfe", id="not text"),
        pytest.param(b"{}", id="object"),
        pytest.param(error_body(-1121).encode(), id="error with status 200"),
        pytest.param(b"null", id="null"),
        pytest.param(b"7", id="number"),
        pytest.param(b"[[]]", id="empty row"),
        pytest.param(b"[null]", id="null row"),
        pytest.param(b'[["1704067200000"]]', id="text as last time"),
        pytest.param(b"[[1704067200000.5]]", id="fraction as last time"),
        pytest.param(orjson.dumps([row(START_MS), row(START_MS)]), id="row twice"),
        pytest.param(orjson.dumps([row(START_MS + MINUTE_MS), row(START_MS)]), id="rows out of order"),
        pytest.param(orjson.dumps([row(START_MS - MINUTE_MS), row(START_MS)]), id="row before the window"),
        pytest.param(orjson.dumps([row(START_MS), row(START_MS + 2 * MINUTE_MS)]), id="row behind the window"),
    ],
)
def test_a_garbled_answer_is_asked_again_then_refused(make_source: Any, requests_mock: Mocker, body: bytes) -> None:
    requests_mock.get(KLINES, content=body, headers=date_header(LONG_AFTER))
    with pytest.raises(BadResponseError, match=r"api\.test"):
        fetch(make_source(), span(0, 2))
    assert requests_mock.call_count == 3


def test_a_body_above_the_limit_is_refused(make_source: Any, requests_mock: Mocker) -> None:
    requests_mock.get(KLINES, content=b" " * (8 * 2**20 + 1))
    with pytest.raises(BadResponseError, match=r"^api\.test sends more than 8,388,608 bytes"):
        fetch(make_source(), span(0, 1))


@pytest.mark.parametrize(
    ("failure", "error", "attempts", "message"),
    [
        pytest.param(
            requests.ConnectTimeout,
            ConnectionFailedError,
            3,
            "took longer than 30 seconds; see [data.api] timeout",
            id="timeout",
        ),
        pytest.param(requests.ReadTimeout, ConnectionFailedError, 3, "took longer than 30 seconds", id="read timeout"),
        pytest.param(
            requests.ConnectionError("no route"),
            ConnectionFailedError,
            3,
            "No answer from api.test: no route.",
            id="refused",
        ),
        pytest.param(
            requests.exceptions.ProxyError("gone"), ConnectionFailedError, 3, "see [data.api] proxy", id="proxy"
        ),
        pytest.param(
            requests.exceptions.SSLError("self-signed"),
            DownloadError,
            1,
            "[data.api] ca_bundle. (self-signed)",
            id="certificate",
        ),
        pytest.param(
            requests.exceptions.InvalidURL("odd"), DownloadError, 1, "Cannot ask api.test: odd.", id="address"
        ),
    ],
)
def test_a_failed_connection_is_its_error_after_as_many_attempts(
    make_source: Any, requests_mock: Mocker, failure: Any, error: type[DownloadError], attempts: int, message: str
) -> None:
    requests_mock.get(KLINES, exc=failure)
    with pytest.raises(error) as raised:
        fetch(make_source(), span(0, 1))
    assert type(raised.value) is error
    assert message in str(raised.value)
    assert requests_mock.call_count == attempts


@pytest.mark.parametrize("max_retries", [0, 1, 5])
def test_max_retries_is_how_often_it_is_asked_again(make_source: Any, requests_mock: Mocker, max_retries: int) -> None:
    requests_mock.get(KLINES, status_code=503)
    with pytest.raises(ServerFailedError):
        fetch(make_source(max_retries=max_retries), span(0, 1))
    assert requests_mock.call_count == max_retries + 1


def test_retry_delay_doubles_with_jitter(make_source: Any, requests_mock: Mocker, stop: Waits) -> None:
    requests_mock.get(KLINES, status_code=503)
    with pytest.raises(ServerFailedError):
        fetch(make_source(max_retries=4, retry_delay=2.0), span(0, 1))
    assert len(stop.waited) == 4
    for number, waited in enumerate(stop.waited):
        assert 2.0 * 2**number <= waited <= 2.0 * 2**number + 2.0


def test_an_answer_after_failures_is_taken(make_source: Any, requests_mock: Mocker) -> None:
    good = {"content": orjson.dumps([row(START_MS)]), "headers": date_header(LONG_AFTER)}
    requests_mock.get(KLINES, [{"status_code": 502}, {"text": "<html>"}, good])
    assert opens(fetch(make_source(), span(0, 1))) == [0]


def test_a_stopped_run_asks_no_more(make_source: Any, requests_mock: Mocker, stop: Waits) -> None:
    serve(requests_mock, [0])
    source = make_source()
    stop.set()
    with pytest.raises(DownloadError, match=r"^The run was stopped\.$"):
        fetch(source, span(0, 1))
    assert requests_mock.call_count == 0


def test_an_answer_without_a_date_is_of_this_machines_clock(make_source: Any, requests_mock: Mocker) -> None:
    requests_mock.get(KLINES, content=orjson.dumps([row(START_MS)]), headers={"Date": "not a date"})
    before = datetime.now(UTC).replace(tzinfo=None)
    (page,) = fetch(make_source(), span(0, 1))
    assert before <= page.requested_at


# The exchange's own limit


def test_the_weight_limit_is_learned_once_it_may_matter(make_source: Any, requests_mock: Mocker) -> None:
    limits = [{"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "limit": 1}]
    limits.append({"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "limit": 1_200})
    info = requests_mock.get(f"{HOST}/api/v3/exchangeInfo", json={"rateLimits": limits})
    requests_mock.get(KLINES, text="[]", headers={"X-MBX-USED-WEIGHT-1M": "600", **date_header(LONG_AFTER)})
    source = make_source()
    fetch(source, span(0, 1))
    fetch(source, span(0, 1))
    assert source.budget.weight_limit == 1_200
    assert info.call_count == 1


def test_the_weight_limit_is_not_asked_for_a_few_requests(make_source: Any, requests_mock: Mocker) -> None:
    requests_mock.get(KLINES, content=orjson.dumps([row(START_MS)]), headers={"x-mbx-used-weight-1m": "599"})
    fetch(make_source(), span(0, 1))
    assert requests_mock.call_count == 1


@pytest.mark.parametrize("body", ["{}", "[]", '{"rateLimits":[]}', '{"rateLimits":[{}]}', "<html>"])
def test_a_host_that_does_not_tell_its_limits_still_serves(make_source: Any, requests_mock: Mocker, body: str) -> None:
    requests_mock.get(f"{HOST}/api/v3/exchangeInfo", text=body)
    requests_mock.get(
        KLINES,
        content=orjson.dumps([row(START_MS)]),
        headers={"X-MBX-USED-WEIGHT-1M": "5000", **date_header(LONG_AFTER)},
    )
    source = make_source()
    assert opens(fetch(source, span(0, 1))) == [0]
    assert source.budget.weight_limit == 6_000


@pytest.mark.parametrize("used", ["", "many", "-5"])
def test_an_odd_weight_header_is_passed_over(make_source: Any, requests_mock: Mocker, used: str) -> None:
    requests_mock.get(KLINES, content=orjson.dumps([row(START_MS)]), headers={"X-MBX-USED-WEIGHT-1M": used})
    fetch(make_source(), span(0, 1))
    assert requests_mock.call_count == 1


# Over real HTTP


@pytest.mark.parametrize("fault", ["drop", "truncate", "cut_body", "html_200", "unordered_rows", "rows_outside_window"])
def test_a_fault_on_the_way_is_asked_again(make_source: Any, exchange: LoopbackExchange, fault: Any) -> None:
    exchange.fail(fault, times=2)
    assert opens(fetch(make_source(base_url=exchange.url), span(0, 60))) == list(range(60))
    assert len(exchange.requests) == 3


@pytest.mark.parametrize("fault", ["drop", "truncate"])
def test_a_connection_that_keeps_breaking_is_an_error(make_source: Any, exchange: LoopbackExchange, fault: Any) -> None:
    exchange.fail(fault, times=None)
    with pytest.raises(ConnectionFailedError, match=r"^No answer from 127\.0\.0\.1:\d+: "):
        fetch(make_source(base_url=exchange.url), span(0, 60))
    assert len(exchange.requests) == 3


@pytest.mark.parametrize("seconds", [pytest.param(60.0, id="stall"), pytest.param(0.02, id="trickle")])
def test_a_slow_body_ends_at_timeout_seconds(make_source: Any, exchange: LoopbackExchange, seconds: float) -> None:
    exchange.fail("stall" if seconds > 1 else "trickle", seconds=seconds, times=None)
    with pytest.raises(ConnectionFailedError, match=r"took longer than 0\.1 seconds"):
        fetch(make_source(base_url=exchange.url, timeout_seconds=0.1, max_retries=0), span(0, 60))


def test_a_hole_of_the_market_is_conclusively_absent(make_source: Any, exchange: LoopbackExchange) -> None:
    pages = fetch(make_source(base_url=exchange.url), span(240, 480))
    assert opens(pages) == [*range(240, 300), *range(420, 480)]
    assert pages[-1].range_end == minute(480)
