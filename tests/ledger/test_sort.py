"""The order of candles in the file: what small appends have mixed is sorted when the next day or week begins."""

from __future__ import annotations

import signal
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tests.support.processes import run_python
from threadx_duck.candles.klines import REJECTED_SCHEMA
from threadx_duck.config import StoreSettings
from threadx_duck.ledger import sort as sorting
from threadx_duck.ledger.append import append_to_store
from threadx_duck.ledger.page import Page
from threadx_duck.ledger.requests import OpenRequest, make_batches
from threadx_duck.storage.store import Store

pytestmark = pytest.mark.slow

START = datetime(2024, 1, 1)
SYMBOLS = ("BTCUSDC", "ETHUSDC", "SOLUSDC", "XRPUSDC")
STEP = timedelta(days=1)


def append(store: Store, start: datetime, make_candles: Callable[..., pa.Table], step: timedelta = STEP) -> None:
    minutes = step // timedelta(minutes=1)
    pages = [
        Page(
            symbol, "1m", "rest", start, start + step, make_candles(symbol, start, minutes, close=10 + start.day / 16),
            REJECTED_SCHEMA.empty_table(), "https://example.invalid", (b"",), start + 2 * step, 0.1,
        )
        for symbol in SYMBOLS
    ]  # fmt: skip
    append_to_store(store, make_batches([OpenRequest(page) for page in pages]))


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.sql(sql).fetchall()


RUNS = """
    select count(*)
    from (
        select symbol, lag(symbol) over (order by rowid) as previous
        from candles_1m
        where open_time >= $start and open_time < $end
    )
    where symbol is distinct from previous
"""


def runs(path: Path, start: datetime, end: datetime) -> int:
    """How often the file changes the symbol between two times: once a symbol where it is in order."""
    with duckdb.connect(str(path), read_only=True) as connection:
        ((found,),) = connection.execute(RUNS, {"start": start, "end": end}).fetchall()
        return int(found)


def test_mixed_weeks_are_sorted_once_the_next_begins(store_path: Path, make_candles: Callable[..., pa.Table]) -> None:
    store = Store(StoreSettings(database=store_path))
    for number in range(32):
        append(store, START + number * STEP, make_candles)
    before = rows(store_path, "select * from candles_1m order by all")
    # The week that ends on the eighth is the fourth of four, the one that ends on the 22nd the second of two.
    assert runs(store_path, START, datetime(2024, 1, 8)) == len(SYMBOLS)
    assert runs(store_path, datetime(2024, 1, 8), datetime(2024, 1, 22)) == len(SYMBOLS)
    assert runs(store_path, datetime(2024, 1, 22), datetime(2024, 1, 29)) == len(SYMBOLS)
    # On the fifth of February eight have ended, of which this store holds five.
    for day in (2, 3, 4, 5):
        append(store, datetime(2024, 2, day), make_candles)
    assert runs(store_path, START, datetime(2024, 2, 5)) == len(SYMBOLS)
    assert rows(store_path, "select * from candles_1m where open_time < '2024-02-02' order by all") == before
    unordered = """
        select count(*)
        from (
            select open_time, lag(open_time) over (partition by symbol order by rowid) as previous
            from candles_1m
        )
        where open_time <= previous
    """
    assert rows(store_path, unordered) == [(0,)]


def test_what_is_in_order_stays_where_it_lies(store_path: Path, make_candles: Callable[..., pa.Table]) -> None:
    store = Store(StoreSettings(database=store_path))
    append(store, START, make_candles)
    where = "select symbol, open_time, rowid from candles_1m where month(open_time) = 1 order by rowid"
    before = rows(store_path, where)
    append(store, datetime(2024, 2, 1), make_candles)
    assert rows(store_path, where) == before


def test_the_months_of_a_backfill_stay_where_they_lie(store_path: Path, make_candles: Callable[..., pa.Table]) -> None:
    store = Store(StoreSettings(database=store_path))
    months = [datetime(2023, 12, 1), *(datetime(2024, month, 1) for month in range(1, 5))]
    for start, end in pairwise(months):
        append(store, start, make_candles, end - start)
    where = "select symbol, open_time, rowid from candles_1m where open_time < '2024-04-01' order by rowid"
    before = rows(store_path, where)
    # Sixteen weeks have ended on the first of April: the longest span that is ever sorted.
    append(store, datetime(2024, 4, 1), make_candles)
    assert rows(store_path, where) == before


def test_a_day_of_small_appends_is_sorted_once_it_is_over(
    store_path: Path, make_candles: Callable[..., pa.Table]
) -> None:
    store = Store(StoreSettings(database=store_path))
    tuesday = START + STEP
    for hour in range(24):
        append(store, tuesday + timedelta(hours=hour), make_candles, timedelta(hours=1))
    assert runs(store_path, tuesday, tuesday + STEP) == 24 * len(SYMBOLS)
    append(store, tuesday + STEP, make_candles, timedelta(hours=1))
    assert runs(store_path, tuesday, tuesday + STEP) == len(SYMBOLS)
    assert runs(store_path, tuesday, tuesday + 2 * STEP) == 2 * len(SYMBOLS)


def test_the_running_week_stays_mixed(store_path: Path, make_candles: Callable[..., pa.Table]) -> None:
    store = Store(StoreSettings(database=store_path))
    for number in range(16):
        append(store, START + number * STEP, make_candles)
    assert runs(store_path, START, datetime(2024, 1, 8)) == len(SYMBOLS)
    assert runs(store_path, datetime(2024, 1, 15), datetime(2024, 1, 17)) == 2 * len(SYMBOLS)
    assert runs(store_path, datetime(2024, 1, 8), datetime(2024, 1, 17)) == 3 * len(SYMBOLS)


def test_more_candles_than_a_sort_may_move_are_sorted_by_fewer_weeks(
    store_path: Path, make_candles: Callable[..., pa.Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sorting, "_SORTED_ROWS", 100_000)
    store = Store(StoreSettings(database=store_path))
    for number in range(36):
        append(store, START + number * STEP, make_candles)
    # Eight weeks have ended on the fifth of February; all but the last lie in the file's first row group as well.
    assert runs(store_path, datetime(2024, 1, 29), datetime(2024, 2, 5)) == len(SYMBOLS)
    assert runs(store_path, datetime(2024, 1, 15), datetime(2024, 1, 29)) == 2 * len(SYMBOLS)


def test_so_many_candles_that_no_week_can_be_sorted_stay_mixed(
    store_path: Path, make_candles: Callable[..., pa.Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sorting, "_SORTED_ROWS", 1440)
    store = Store(StoreSettings(database=store_path))
    for number in range(9):
        append(store, START + number * STEP, make_candles)
    assert runs(store_path, START, datetime(2024, 1, 8)) == 7 * len(SYMBOLS)


@pytest.fixture
def make_noise(make_candles: Callable[..., pa.Table]) -> Callable[..., pa.Table]:
    """Makes candles that take space in the file."""

    def make(*arguments: Any, **options: Any) -> pa.Table:
        table = make_candles(*arguments, **options)
        for name in ("volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume"):
            noise = pc.random(table.num_rows, initializer=arguments[1].toordinal())
            table = table.set_column(table.schema.get_field_index(name), name, noise)
        return table

    return make


def test_sorting_leaves_no_free_space_before_it(store_path: Path, make_noise: Callable[..., pa.Table]) -> None:
    store = Store(StoreSettings(database=store_path))
    for number in range(35):
        append(store, START + number * STEP, make_noise)
    before = store_path.stat().st_size
    append(store, START + 35 * STEP, make_noise)
    # All five weeks have moved; moved once only, they would lie behind the place that they have left.
    assert runs(store_path, START, datetime(2024, 2, 5)) == len(SYMBOLS)
    assert store_path.stat().st_size < 1.1 * before


def test_sorting_leaves_no_row_group_half_empty(store_path: Path, make_candles: Callable[..., pa.Table]) -> None:
    store = Store(StoreSettings(database=store_path))
    for number in range(50):
        append(store, START + number * STEP, make_candles)
    lying = """
        select sum(count)
        from pragma_storage_info('candles_1m')
        where column_name = 'request_id' and segment_type = 'BIGINT'
    """
    # Removed rows take their place in the file until their whole row group is gone.
    (stored,) = rows(store_path, "select count(*) from candles_1m")
    assert rows(store_path, lying) == [stored]
    assert stored == (50 * 1440 * len(SYMBOLS),)


# Sorts the first week of the year; before one of its steps the process is killed, or from the start files are limited.
_SORT = """
import os, resource, signal, sys
from datetime import datetime
from pathlib import Path
from threadx_duck.config import StoreSettings
from threadx_duck.errors import StoreError
from threadx_duck.storage.session import Session
from threadx_duck.ledger.sort import sort_finished
from threadx_duck.storage.store import Store

path, step, size = sys.argv[1:]
run, checkpoint = Session.run, Session.checkpoint
def run_or_die(session, name, **parameters):
    if name == step:
        os.kill(os.getpid(), signal.SIGKILL)
    return run(session, name, **parameters)
def checkpoint_or_die(session):
    if step == "checkpoint":
        os.kill(os.getpid(), signal.SIGKILL)
    checkpoint(session)
Session.run, Session.checkpoint = run_or_die, checkpoint_or_die
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
if int(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(size),) * 2)
monday, tuesday = datetime(2024, 1, 8), datetime(2024, 1, 9)
store = Store(StoreSettings(database=Path(path)))
try:
    store.change((), lambda session: None, lambda session: sort_finished(session, monday, tuesday))
except StoreError as error:
    sys.exit(str(error))
"""


@pytest.mark.parametrize("step", ["sort/insert_sorted", "sort/delete_mixed", "checkpoint"])
def test_a_killed_sort_loses_nothing(
    store_path: Path, make_candles: Callable[..., pa.Table], tmp_path: Path, step: str
) -> None:
    store = Store(StoreSettings(database=store_path))
    for number in range(7):
        append(store, START + number * STEP, make_candles)
    before = rows(store_path, "select * from candles_1m order by all")
    ran = run_python(_SORT, str(store_path), step, "0", folder=tmp_path)
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    assert rows(store_path, "select * from candles_1m order by all") == before
    append(store, START + 7 * STEP, make_candles)
    assert runs(store_path, START, START + 7 * STEP) == len(SYMBOLS)
    assert rows(store_path, "select * from candles_1m where open_time < '2024-01-08' order by all") == before


def test_a_sort_on_a_full_disk_loses_nothing(
    store_path: Path, make_noise: Callable[..., pa.Table], tmp_path: Path
) -> None:
    store = Store(StoreSettings(database=store_path))
    for number in range(7):
        append(store, START + number * STEP, make_noise)
    before = rows(store_path, "select * from candles_1m order by all")
    ran = run_python(_SORT, str(store_path), "", "400000", folder=tmp_path)
    assert ran.returncode == 1
    assert "The disk is full: " in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert rows(store_path, "select * from candles_1m order by all") == before
    append(store, START + 7 * STEP, make_noise)
    assert runs(store_path, START, START + 7 * STEP) == len(SYMBOLS)
