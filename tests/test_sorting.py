"""The order of candles in the file: what small appends have mixed is sorted when the next week or month begins."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from threadx_duck.candles import REJECTED_SCHEMA
from threadx_duck.config import StoreSettings
from threadx_duck.ledger import OpenRequest, make_batches
from threadx_duck.sources.page import Page
from threadx_duck.store import Store

START = datetime(2024, 1, 1)
SYMBOLS = ("BTCUSDC", "ETHUSDC", "SOLUSDC")
STEP = timedelta(days=2)


def append(store: Store, start: datetime, make_candles: Callable[..., pa.Table]) -> None:
    minutes = STEP // timedelta(minutes=1)
    pages = [
        Page(
            symbol, "1m", "rest", start, start + STEP, make_candles(symbol, start, minutes, close=10 + start.day / 16),
            REJECTED_SCHEMA.empty_table(), "https://example.invalid", (b"",), start + 2 * STEP, 0.1,
        )
        for symbol in SYMBOLS
    ]  # fmt: skip
    store.append(make_batches([OpenRequest(page) for page in pages]))


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.sql(sql).fetchall()


def test_a_mixed_month_is_sorted_once_the_next_begins(store_path: Path, make_candles: Callable[..., pa.Table]) -> None:
    store = Store(StoreSettings(database=store_path))
    for number in range(10):
        append(store, START + number * STEP, make_candles)
    before = rows(store_path, "select * from candles_1m order by all")
    runs = """
        select count(*)
        from (select symbol, lag(symbol) over (order by rowid) as previous from candles_1m where month(open_time) = 1)
        where symbol is distinct from previous
    """
    assert rows(store_path, runs) > [(3,)]
    append(store, datetime(2024, 2, 1), make_candles)
    assert rows(store_path, runs) == [(3,)]
    assert rows(store_path, "select * from candles_1m where month(open_time) = 1 order by all") == before
    unordered = """
        select count(*)
        from (
            select open_time, lag(open_time) over (partition by symbol order by rowid) as previous
            from candles_1m
            where month(open_time) = 1
        )
        where open_time <= previous
    """
    assert rows(store_path, unordered) == [(0,)]


def test_a_sorted_month_stays_where_it_lies(store_path: Path, make_candles: Callable[..., pa.Table]) -> None:
    store = Store(StoreSettings(database=store_path))
    append(store, START, make_candles)
    where = "select symbol, open_time, rowid from candles_1m where month(open_time) = 1 order by rowid"
    before = rows(store_path, where)
    append(store, datetime(2024, 2, 1), make_candles)
    assert rows(store_path, where) == before


def test_a_mixed_week_is_sorted_within_its_month(store_path: Path, make_candles: Callable[..., pa.Table]) -> None:
    store = Store(StoreSettings(database=store_path))
    for number in range(8):
        append(store, START + number * STEP, make_candles)
    runs = """
        select count(*)
        from (select symbol, lag(symbol) over (order by rowid) as previous from candles_1m where open_time < $until)
        where symbol is distinct from previous
    """
    with duckdb.connect(str(store_path), read_only=True) as connection:
        # Sorted when the third Monday of January began.
        assert connection.execute(runs, {"until": datetime(2024, 1, 15)}).fetchall() == [(3,)]
        assert connection.execute(runs, {"until": datetime(2024, 1, 17)}).fetchall() == [(6,)]


def test_sorting_leaves_no_row_group_half_empty(store_path: Path, make_candles: Callable[..., pa.Table]) -> None:
    store = Store(StoreSettings(database=store_path))
    for number in range(45):
        append(store, START + number * STEP, make_candles)
    lying = """
        select sum(count)
        from pragma_storage_info('candles_1m')
        where column_name = 'request_id' and segment_type = 'BIGINT'
    """
    # Removed rows take their place in the file until their whole row group is gone.
    (stored,) = rows(store_path, "select count(*) from candles_1m")
    assert rows(store_path, lying) == [stored]
    assert stored == (45 * 2880 * len(SYMBOLS),)
