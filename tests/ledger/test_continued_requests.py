"""An answer that goes on where a stored one ends extends its row in the ledger, with all that belongs to it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from threadx_duck.audit.checks import run_checks
from threadx_duck.candles.klines import REJECTED_SCHEMA
from threadx_duck.candles.times import EPOCH, MINUTE
from threadx_duck.config import StoreSettings
from threadx_duck.ledger.append import append_to_store
from threadx_duck.ledger.page import Page
from threadx_duck.ledger.requests import OpenRequest, make_batches
from threadx_duck.storage.store import Store

pytestmark = pytest.mark.slow

DAY = datetime(2024, 1, 1)
Ask = Callable[..., None]


@pytest.fixture
def store(store_path: Path) -> Store:
    return Store(StoreSettings(database=store_path))


@pytest.fixture
def ask(store: Store, make_candles: Any) -> Ask:
    """Stores an answer: ``ask(start, minutes, source="rest", ...)``; asked for a second after its end."""

    def ask(start: datetime, minutes: int, **changes: Any) -> None:
        end = start + minutes * MINUTE
        candles = changes.pop("candles", None)
        page = {
            "symbol": "BTCUSDC",
            "timeframe": "1m",
            "source": "rest",
            "range_start": start,
            "range_end": end,
            "candles": make_candles("BTCUSDC", start, minutes) if candles is None else candles,
            "rejected": REJECTED_SCHEMA.empty_table(),
            "url": f"https://a.test/{start:%H%M}",
            "bodies": (f"{start}".encode(),),
            "requested_at": end + timedelta(seconds=1),
            "seconds": 0.25,
        }
        append_to_store(store, make_batches([OpenRequest(Page(**page | changes))]))

    return ask


def _query(store: Store, statement: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(store.path), read_only=True) as connection:
        return connection.execute(statement).fetchall()


def _faults(store: Store) -> list[str]:
    return [finding.name for finding in run_checks(store) if finding.rows.num_rows]


def test_answer_that_continues_one_becomes_part_of_its_row(store: Store, ask: Ask) -> None:
    ask(DAY, 3)
    ask(DAY + 3 * MINUTE, 2)
    hashes = [hashlib.sha256(str(start).encode()).hexdigest() for start in (DAY, DAY + 3 * MINUTE)]
    assert _query(
        store,
        "select range_start, range_end, pages, url, sha256, rows_received, rows_added, requested_at, seconds"
        " from requests",
    ) == [
        (
            DAY,
            DAY + 5 * MINUTE,
            2,
            "https://a.test/0000",
            hashlib.sha256("".join(hashes).encode()).hexdigest(),
            5,
            5,
            DAY + 5 * MINUTE + timedelta(seconds=1),
            0.5,
        )
    ]
    assert _query(store, "select count(distinct request_id) from candles_1m") == [(1,)]
    assert _faults(store) == []


def test_revisions_and_rejected_rows_of_a_continuation_name_its_row(store: Store, ask: Ask, make_candles: Any) -> None:
    ask(DAY + 3 * MINUTE, 1, source="import", range_end=DAY + 3 * MINUTE)
    ask(DAY, 3)
    rejected = pa.table([["BTCUSDC"], [DAY + 4 * MINUTE], ["[]"], ["unreadable"]], schema=REJECTED_SCHEMA)
    candles = make_candles("BTCUSDC", DAY + 3 * MINUTE, 1, volume=3.0)
    ask(DAY + 3 * MINUTE, 2, candles=candles, rejected=rejected)
    names = _query(
        store,
        "select r.request_id, r.rows_revised, r.rows_rejected from requests as r where source = 'rest'",
    )
    assert [row[1:] for row in names] == [(1, 1)]
    assert _query(store, "select new_request_id, applied from revisions") == [(names[0][0], True)]
    assert _query(store, "select request_id from rejected_rows") == [(names[0][0],)]
    assert _query(store, "select count(*) from candles_1m where volume = 3.0") == [(1,)]
    # The minute that was rejected is told of by its own check.
    assert "lost_candle" not in _faults(store)


def test_earlier_revisions_of_a_row_do_not_touch_what_continues_it(store: Store, ask: Ask, make_candles: Any) -> None:
    ask(DAY, 2, source="import", range_end=DAY)
    ask(DAY, 2, candles=make_candles("BTCUSDC", DAY, 2, trade_count=7))
    ask(DAY + 2 * MINUTE, 2)
    assert _query(store, "select trade_count, count(*) from candles_1m group by all order by all") == [
        (5, 2),
        (7, 2),
    ]
    assert _faults(store) == []


def test_empty_answers_grow_no_rows(store: Store, ask: Ask, make_candles: Any) -> None:
    nothing = make_candles("BTCUSDC", DAY, 0)
    for second in range(5):
        ask(DAY, 0, candles=nothing, requested_at=DAY + timedelta(seconds=second))
    ask(DAY, 2)
    for _ in range(3):
        ask(DAY + 2 * MINUTE, 0, candles=nothing)
    assert _query(store, "select range_start, range_end, pages, rows_added from requests") == [
        (DAY, DAY + 2 * MINUTE, 9, 2)
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "changes"),
    [
        pytest.param(DAY + timedelta(hours=23, minutes=58), {}, id="on the next day"),
        pytest.param(DAY, {"source": "archive_daily"}, id="of another source"),
        pytest.param(DAY, {"range_start": EPOCH}, id="of the listing"),
        pytest.param(DAY, {"range_end": DAY + MINUTE}, id="after a minute that was not conclusive"),
    ],
)
def test_answer_that_does_not_continue_one_is_a_row_of_its_own(
    first: datetime, changes: dict[str, Any], store: Store, ask: Ask
) -> None:
    ask(first, 2, **changes)
    ask(first + 2 * MINUTE, 2)
    assert _query(store, "select count(*), sum(rows_added) from requests") == [(2, 4)]
