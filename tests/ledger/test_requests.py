"""Pages become ledger rows and batches."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from threadx_duck.candles.klines import REJECTED_SCHEMA
from threadx_duck.candles.times import MINUTE
from threadx_duck.errors import BadResponseError
from threadx_duck.ledger.page import Page
from threadx_duck.ledger.requests import REQUEST_SCHEMA, OpenRequest, make_batches

START = datetime(2024, 1, 1)


@pytest.fixture
def make_page(make_candles: Any) -> Any:
    def make(
        first: int, last: int, bodies: tuple[bytes, ...] = (b"[]",), symbol: str = "BTCUSDC", **fields: Any
    ) -> Page:
        start, end = START + first * MINUTE, START + last * MINUTE
        values: dict[str, Any] = {
            "symbol": symbol,
            "timeframe": "1m",
            "source": "rest",
            "range_start": start,
            "range_end": end,
            "candles": make_candles(symbol, start, max(0, last - first)),
            "rejected": REJECTED_SCHEMA.empty_table(),
            "url": f"https://a.test/{first}",
            "bodies": bodies,
            "requested_at": datetime(2024, 2, 1, 0, first % 60),
            "seconds": 0.5,
        }
        return Page(**values | fields)

    return make


def rejected_row(symbol: str, minute: datetime | None) -> pa.Table:
    row = {"symbol": symbol, "minute": minute, "raw": "[]", "reason": "off_grid"}
    return pa.Table.from_pylist([row], REJECTED_SCHEMA)


def test_pages_that_join_become_one_row_of_the_ledger(make_page: Any) -> None:
    request = OpenRequest(make_page(0, 3, (b"one", b"two")))
    following = make_page(3, 5, (b"three",), rejected=rejected_row("BTCUSDC", START + 4 * MINUTE))
    assert request.joins(following)
    request.add(following)
    assert request.ledger_row() == {
        "request_id": request.request_id,
        "symbol": "BTCUSDC",
        "timeframe": "1m",
        "source": "rest",
        "range_start": START,
        "range_end": START + 5 * MINUTE,
        "pages": 3,
        "url": "https://a.test/0",
        "sha256": hashlib.sha256(b"onetwothree").hexdigest(),
        "rows_received": 6,
        "rows_rejected": 1,
        "requested_at": datetime(2024, 2, 1),
        "seconds": 1.0,
        "first_minute": START,
        "last_minute": START + 5 * MINUTE,
    }
    assert request.candles()["request_id"].to_pylist() == [request.request_id] * 5
    assert request.rejected()["request_id"].to_pylist() == [request.request_id]


@pytest.mark.parametrize(
    ("first", "fields"),
    [
        pytest.param(4, {}, id="a minute later"),
        pytest.param(2, {}, id="a minute earlier"),
        pytest.param(3, {"symbol": "ETHUSDC"}, id="of another symbol"),
        pytest.param(3, {"timeframe": "5m"}, id="of another timeframe"),
        pytest.param(3, {"source": "import"}, id="of another source"),
    ],
)
def test_a_page_that_goes_on_elsewhere_does_not_join(make_page: Any, first: int, fields: dict[str, Any]) -> None:
    assert not OpenRequest(make_page(0, 3)).joins(make_page(first, 6, **fields))


def test_the_order_of_bodies_is_in_the_hash(make_page: Any) -> None:
    forward, backward = (OpenRequest(make_page(0, 3, bodies)) for bodies in ((b"a", b"b"), (b"b", b"a")))
    assert forward.ledger_row()["sha256"] != backward.ledger_row()["sha256"]


def test_bodies_are_let_go_once_they_are_hashed(make_page: Any) -> None:
    request = OpenRequest(make_page(0, 3, (b"one",)))
    assert [page.bodies for page in request.pages] == [()]


def test_request_ids_are_positive_and_differ(make_page: Any) -> None:
    ids = {OpenRequest(make_page(0, 1)).request_id for _ in range(100)}
    assert len(ids) == 100
    assert all(0 <= number < 2**63 for number in ids)


def test_candles_behind_an_inconclusive_range_are_spoken_of(make_page: Any, make_candles: Any) -> None:
    page = make_page(0, 0, candles=make_candles(start=START + 5 * MINUTE, minutes=2))
    row = OpenRequest(page).ledger_row()
    assert (row["range_start"], row["range_end"]) == (START, START)
    assert (row["first_minute"], row["last_minute"]) == (START + 5 * MINUTE, START + 7 * MINUTE)


def test_an_answer_of_nothing_for_nothing_has_a_row(make_page: Any) -> None:
    row = OpenRequest(make_page(0, 0)).ledger_row()
    assert (row["first_minute"], row["last_minute"], row["rows_received"]) == (START, START, 0)


def test_candles_of_a_request_that_repeat_are_refused(make_page: Any, make_candles: Any) -> None:
    request = OpenRequest(make_page(0, 2, candles=make_candles(minutes=3)))
    request.add(make_page(2, 3))
    with pytest.raises(BadResponseError, match="out of order or twice"):
        request.candles()


def test_requests_of_other_minutes_or_symbols_share_a_batch(make_page: Any) -> None:
    requests = [OpenRequest(page) for page in (make_page(0, 3), make_page(3, 5), make_page(0, 3, symbol="ETHUSDC"))]
    (batch,) = make_batches(requests)
    assert batch.requests.schema == REQUEST_SCHEMA
    assert batch.requests["request_id"].to_pylist() == [request.request_id for request in requests]
    assert batch.candles.num_rows == 8
    assert batch.rejected.num_rows == 0


def test_requests_of_the_same_minutes_go_to_batches_in_order(make_page: Any) -> None:
    spans = [(0, 10), (20, 30), (5, 7), (9, 25), (40, 50)]
    requests = [OpenRequest(make_page(*span)) for span in spans]
    batches = make_batches(requests)
    placed = [
        [requests.index(r) for r in requests if r.request_id in b.requests["request_id"].to_pylist()] for b in batches
    ]
    assert placed == [[0, 1, 4], [2, 3]]


def test_a_third_answer_for_the_same_minutes_comes_third(make_page: Any) -> None:
    requests = [OpenRequest(make_page(0, 3)) for _ in range(3)]
    batches = make_batches(requests)
    assert [batch.requests["request_id"].to_pylist() for batch in batches] == [[r.request_id] for r in requests]


def test_no_requests_make_no_batches() -> None:
    assert make_batches([]) == []


def test_open_request_speaks_of_minutes_as_a_half_open_range(make_page: Any) -> None:
    row = OpenRequest(make_page(0, 3)).ledger_row()
    assert row["last_minute"] - row["first_minute"] == timedelta(minutes=3)
