"""The store: its file and schema, the append, and what it refuses."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from threadx_duck.candles.klines import REJECTED_SCHEMA
from threadx_duck.candles.times import MINUTE
from threadx_duck.config import StoreSettings
from threadx_duck.errors import QueryError, StoreError, StoreLockedError
from threadx_duck.ledger.append import Appended, append_to_store
from threadx_duck.ledger.page import Page
from threadx_duck.ledger.requests import Batch, OpenRequest, make_batches
from threadx_duck.storage.schema import SCHEMA_VERSION
from threadx_duck.storage.sqlfiles import list_sql
from threadx_duck.storage.store import Store

pytestmark = pytest.mark.slow

START = datetime(2024, 1, 1)
TABLES = {"candles_1m", "native_candles", "rejected_rows", "requests", "revisions", "store_info"}
RANKED = ["import", "archive_monthly", "archive_daily", "rest"]

HOLD_THE_STORE = textwrap.dedent("""
    import sys, duckdb
    connection = duckdb.connect(sys.argv[1])
    print("held", flush=True)
    sys.stdin.readline()
    connection.close()
    print("released", flush=True)
    sys.stdin.readline()
""")


@pytest.fixture
def store(store_path: Path) -> Store:
    return Store(StoreSettings(database=store_path, lock_timeout_seconds=0.05))


@pytest.fixture
def append(store: Store, store_path: Path, empty_store: Path, make_candles: Any) -> Any:
    """Appends one answer: ``append(minutes=3, source="rest", conclusive=None, rejected=(), skip=(), **columns)``."""

    def make(
        minutes: int = 3,
        *,
        source: str = "rest",
        symbol: str = "BTCUSDC",
        start: datetime = START,
        conclusive: int | None = None,
        rejected: tuple[datetime | None, ...] = (),
        **options: Any,
    ) -> Appended:
        if not store.exists:
            store_path.parent.mkdir()
            shutil.copyfile(empty_store, store_path)
        rows = [{"symbol": symbol, "minute": minute, "raw": "[]", "reason": "off_grid"} for minute in rejected]
        page = Page(
            symbol=symbol,
            timeframe="1m",
            source=source,
            range_start=start,
            range_end=start + (minutes if conclusive is None else conclusive) * MINUTE,
            candles=make_candles(symbol, start, minutes, **options),
            rejected=pa.Table.from_pylist(rows, REJECTED_SCHEMA),
            url="https://a.test",
            bodies=(b"[]",),
            requested_at=datetime(2024, 2, 1),
            seconds=0.1,
        )
        (appended,) = append_to_store(store, make_batches([OpenRequest(page)]))
        return appended

    return make


@contextmanager
def held(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the file."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_THE_STORE, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.stdin.close()


def ask(path: Path, statement: str) -> list[tuple[Any, ...]]:
    """The rows of a statement, asked with DuckDB alone."""
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(statement).fetchall()


def change(path: Path, statement: str) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute(statement)


def closes(path: Path) -> list[float]:
    return [close for (close,) in ask(path, "select close from candles_1m order by symbol, open_time")]


# The file


def test_a_new_store_has_every_table_view_and_macro(store: Store, store_path: Path) -> None:
    assert not store.exists
    with store.writing():
        pass
    assert store.exists
    tables = {name for (name,) in ask(store_path, "select table_name from duckdb_tables()")}
    views = {name for (name,) in ask(store_path, "select view_name from duckdb_views() where not internal")}
    macros = {name for (name,) in ask(store_path, "select function_name from duckdb_functions() where not internal")}
    assert tables == TABLES
    assert views == {file.relation for file in list_sql("views")}
    assert macros == {file.relation for file in list_sql("macros")}


def test_prepared_store_is_the_same_and_lies_nowhere_before_it_is_made(tmp_path: Path) -> None:
    stores = [Store(StoreSettings(database=tmp_path / name / "x.duckdb")) for name in ("prepared", "plain")]
    stores[0].prepare()
    assert not (tmp_path / "prepared").exists()
    schemas = []
    for store in stores:
        store.make()
        assert store.info() is not None
        with duckdb.connect(str(store.path), read_only=True) as connection:
            schemas.append(
                connection.sql("select * exclude (database_oid) from duckdb_columns() order by all").fetchall()
            )
    assert schemas[0] == schemas[1]


def test_preparing_leaves_a_store_that_is_there_alone(store: Store, store_path: Path) -> None:
    store.make()
    before = store_path.read_bytes()
    store.prepare()
    store.make()
    assert store_path.read_bytes() == before


def test_preparing_that_fails_is_left_to_the_making(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    store = Store(StoreSettings(database=tmp_path / "x.duckdb"))
    store.prepare()
    store.make()
    assert store.info() is not None


def test_a_new_store_says_what_it_is(store: Store, store_path: Path) -> None:
    with store.writing():
        pass
    ((version, market, published_at, published_from, created_at),) = ask(
        store_path, "select schema_version, market, published_at, published_from, created_at from store_info"
    )
    assert (version, market, published_at, published_from) == (SCHEMA_VERSION, "binance_spot", None, None)
    assert created_at > datetime(2024, 1, 1)


def test_tables_views_macros_and_columns_carry_comments(store: Store, store_path: Path) -> None:
    with store.writing():
        pass
    without = ask(
        store_path,
        "select table_name from duckdb_tables() where comment is null"
        " union all select view_name from duckdb_views() where not internal and comment is null"
        " union all select function_name from duckdb_functions() where not internal and comment is null"
        " union all select table_name || '.' || column_name from duckdb_columns()"
        " where not internal and (comment is null or comment = '')",
    )
    assert without == []
    comment = "select comment from duckdb_columns() where table_name = 'candles_1m' and column_name = 'open_time'"
    assert ask(store_path, comment) == [("start of the minute, UTC; with symbol, the candle's identity",)]


def test_the_file_has_the_storage_version_of_duckdb_1_0(store: Store, store_path: Path) -> None:
    with store.writing():
        pass
    # The storage version is a number at byte 12 of the file: 64 for v1.0.0, 69 for what 2.0 writes by default.
    assert store_path.read_bytes()[12] == 64


def test_no_table_has_a_key_index_or_check(store: Store, store_path: Path) -> None:
    with store.writing():
        pass
    kinds = {kind for (kind,) in ask(store_path, "select constraint_type from duckdb_constraints()")}
    assert kinds == {"NOT NULL"}
    assert ask(store_path, "select count(*) from duckdb_indexes()") == [(0,)]


def test_the_store_serves_attached_under_another_name(append: Any, store_path: Path) -> None:
    append(minutes=120)
    with duckdb.connect() as connection:
        connection.execute(f"attach '{store_path}' as other (read_only)")
        assert connection.execute("select minutes from other.candles_1h order by open_time").fetchall() == [
            (60,),
            (60,),
        ]
        assert connection.execute("select count(*) from other.gaps").fetchall() == [(0,)]


def test_the_schema_is_written_only_when_its_version_differs(store: Store, store_path: Path) -> None:
    with store.writing():
        pass
    change(store_path, "drop view gaps")
    with store.writing():
        pass
    assert ask(store_path, "select count(*) from duckdb_views() where view_name = 'gaps'") == [(0,)]


def test_an_older_store_is_upgraded_and_keeps_its_candles(append: Any, store: Store, store_path: Path) -> None:
    append()
    created = ask(store_path, "select created_at from store_info")
    change(store_path, "drop view gaps; update store_info set schema_version = 0")
    with (
        pytest.raises(StoreError, match=rf"\(schema 0, here {SCHEMA_VERSION}\) and lacks what this needs"),
        store.reading() as session,
    ):
        session.query("read/gaps", symbols=[], start=START, end=START)
    with store.writing():
        pass
    assert ask(store_path, "select schema_version, market from store_info") == [(SCHEMA_VERSION, "binance_spot")]
    assert ask(store_path, "select created_at from store_info") == created
    assert ask(store_path, "select count(*) from gaps") == [(0,)]
    assert store.query("read/symbol_spans").num_rows == 1


def test_a_newer_store_is_refused(append: Any, store: Store, store_path: Path) -> None:
    append()
    change(store_path, "update store_info set schema_version = 99")
    for session in (store.reading, store.writing):
        with (
            pytest.raises(
                StoreError, match=rf"written by a newer threadx_duck \(schema 99, here {SCHEMA_VERSION}\)\. Upgrade"
            ),
            session(),
        ):
            pass


def test_another_market_is_refused(append: Any, store_path: Path) -> None:
    append()
    other = Store(StoreSettings(database=store_path, market="binance_us"))
    for session in (other.reading, other.writing):
        with (
            pytest.raises(StoreError, match=r"holds binance_spot, but \[data\.store\] market is binance_us\."),
            session(),
        ):
            pass


@pytest.mark.parametrize("content", [pytest.param(b"junk" * 5_000, id="junk"), pytest.param(b"x", id="short")])
def test_a_file_of_something_else_is_refused(store: Store, store_path: Path, content: bytes) -> None:
    store_path.parent.mkdir()
    store_path.write_bytes(content)
    for session in (store.reading, store.writing):
        with (
            pytest.raises(StoreError, match=r"threadx\.duckdb is not a DuckDB database\. Name another file: --db"),
            session(),
        ):
            pass
    assert store_path.read_bytes() == content


def test_an_empty_file_is_refused_or_made_a_store(store: Store, store_path: Path) -> None:
    store_path.parent.mkdir()
    store_path.touch()
    with pytest.raises(StoreError, match=r"threadx\.duckdb"), store.reading():
        pass


def test_a_database_of_something_else_is_no_store_to_read(store: Store, store_path: Path) -> None:
    store_path.parent.mkdir()
    change(store_path, "create table t as select 1 as x")
    with pytest.raises(StoreError, match=r"threadx\.duckdb holds no candles of threadx_duck\.$"), store.reading():
        pass


def test_a_database_whose_store_info_is_empty_is_no_store_to_read(store: Store, store_path: Path) -> None:
    with store.writing():
        pass
    change(store_path, "delete from store_info")
    with pytest.raises(StoreError, match=r"holds no candles of threadx_duck\.$"), store.reading():
        pass


def test_a_folder_in_place_of_the_file_is_refused(store: Store, store_path: Path) -> None:
    store_path.mkdir(parents=True)
    for session in (store.reading, store.writing):
        with pytest.raises(StoreError, match=r"threadx\.duckdb is a folder\. Name a file: --db"), session():
            pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = Store(StoreSettings(database=tmp_path / "file" / "data" / "x.duckdb"))
    with pytest.raises(StoreError, match=r"^Cannot make the folder .*/file/data: Not a directory\.$"), store.writing():
        pass


def test_reading_a_missing_store_says_how_to_make_one(store: Store, store_path: Path) -> None:
    with pytest.raises(StoreError, match=r"^There is no store at .*threadx\.duckdb\. Make one with: threadx ingest"):
        store.query("read/symbol_spans")
    assert not store_path.parent.exists()


def test_a_store_open_in_this_process_in_another_mode_is_refused(append: Any, store: Store, store_path: Path) -> None:
    append()
    with (
        duckdb.connect(str(store_path), read_only=True),
        pytest.raises(StoreError, match="is open in this very process in another mode"),
        store.writing(),
    ):
        pass


def test_a_failing_statement_is_named_by_its_file(append: Any, store: Store) -> None:
    append()
    with pytest.raises(StoreError, match=r"^sql/read/gaps\.sql: .*Error: ") as raised:
        store.query("read/gaps", symbols=[])
    assert "\n" not in str(raised.value)


def test_sessions_count_in_utc(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    with store.writing() as session:
        assert session._connection.execute("select current_setting('TimeZone')").fetchall() == [("UTC",)]


# Other processes


def test_a_held_store_is_refused_after_the_timeout_naming_the_process(append: Any, store_path: Path) -> None:
    append()
    notes: list[str] = []
    store = Store(StoreSettings(database=store_path, lock_timeout_seconds=0.05), on_wait=notes.append)
    with held(store_path) as process:
        for session in (store.reading, store.writing):
            with (
                pytest.raises(StoreLockedError, match=rf"threadx\.duckdb is held by .* \(process {process.pid}\);"),
                session(),
            ):
                pass
    assert len(notes) == 2
    assert notes[0].endswith("Waiting for up to 0.05 seconds.")


def test_a_held_store_is_opened_once_it_is_released(append: Any, store_path: Path) -> None:
    append()
    with held(store_path) as process:

        def release(note: str) -> None:
            assert f"(process {process.pid})" in note
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "released\n"

        store = Store(StoreSettings(database=store_path, lock_timeout_seconds=30.0), on_wait=release)
        assert store.query("read/symbol_spans").num_rows == 1


def test_the_file_is_free_between_two_uses(append: Any, store: Store, store_path: Path) -> None:
    append()
    with held(store_path):
        pass
    append(start=START + 10 * MINUTE)
    assert len(closes(store_path)) == 6


# The append


def test_new_candles_are_added_with_their_evidence(append: Any, store_path: Path) -> None:
    appended = append(minutes=3)
    assert (appended.rows_added, appended.rows_revised) == (3, 0)
    assert ask(store_path, "select count(*), min(request_id), max(request_id) from candles_1m") == [
        (3, appended.request_id, appended.request_id)
    ]
    assert ask(store_path, "select * exclude (sha256) from requests") == [
        (
            *(appended.request_id, "BTCUSDC", "1m", "rest", START, START + 3 * MINUTE, 1, "https://a.test"),
            *(3, 3, 0, 0, datetime(2024, 2, 1), 0.1),
        )
    ]
    assert ask(store_path, "select count(*) from revisions") == [(0,)]


@pytest.mark.parametrize("source", RANKED)
def test_the_same_answer_again_changes_no_candle(append: Any, store_path: Path, source: str) -> None:
    first = append(source=source)
    before = ask(store_path, "from candles_1m order by open_time")
    again = append(source=source)
    assert (again.rows_added, again.rows_revised) == (0, 0)
    assert ask(store_path, "from candles_1m order by open_time") == before
    assert ask(store_path, "select count(*) from revisions") == [(0,)]
    assert ask(store_path, "select rows_added from requests order by rows_added desc") == [(3,), (0,)]
    assert first.request_id != again.request_id


def test_overlapping_candles_are_added_where_they_are_new(append: Any, store_path: Path) -> None:
    append(minutes=3)
    appended = append(minutes=4, start=START + MINUTE)
    assert appended.rows_added == 2
    assert ask(store_path, "select count(*), count(distinct open_time) from candles_1m") == [(5, 5)]


@pytest.mark.parametrize("new", RANKED)
@pytest.mark.parametrize("old", RANKED)
def test_a_differing_candle_of_at_least_the_rank_holds(append: Any, store_path: Path, old: str, new: str) -> None:
    first = append(source=old, close=11.0)
    later = append(source=new, close=10.5, volume=3.0)
    holds = RANKED.index(new) >= RANKED.index(old)
    assert closes(store_path) == [10.5 if holds else 11.0] * 3
    assert (later.rows_added, later.rows_revised) == (0, 3 if holds else 0)
    assert ask(store_path, "select distinct request_id from candles_1m") == [((later if holds else first).request_id,)]
    assert ask(
        store_path,
        "select distinct old_close, new_close, old_volume, new_volume, old_high, new_high, old_request_id,"
        " new_request_id, applied, revised_at from revisions",
    ) == [(11.0, 10.5, 2.0, 3.0, 12.0, 12.0, first.request_id, later.request_id, holds, datetime(2024, 2, 1))]
    assert ask(store_path, "select count(*) from revisions") == [(3,)]


@pytest.mark.parametrize(
    "column",
    [
        "open",
        "high",
        "low",
        "close",
        "volume",
        "quote_volume",
        "trade_count",
        "taker_buy_volume",
        "taker_buy_quote_volume",
    ],
)
def test_a_difference_in_any_column_is_a_revision(append: Any, store_path: Path, column: str) -> None:
    append()
    appended = append(**{column: 10 if column == "trade_count" else 9.75})
    assert appended.rows_revised == 3
    assert ask(store_path, f"select distinct old_{column} <> new_{column}, applied from revisions") == [(True, True)]


def test_only_the_candles_that_differ_are_replaced(append: Any, store_path: Path) -> None:
    first = append(minutes=3)
    later = append(minutes=1, start=START + MINUTE, close=10.5)
    assert closes(store_path) == [11.0, 10.5, 11.0]
    assert ask(store_path, "select request_id from candles_1m order by open_time") == [
        (first.request_id,),
        (later.request_id,),
        (first.request_id,),
    ]


def test_values_that_an_import_lacks_differ_from_nothing(append: Any, store_path: Path) -> None:
    append(source="import")
    appended = append(
        source="import", quote_volume=None, trade_count=None, taker_buy_volume=None, taker_buy_quote_volume=None
    )
    assert appended.rows_revised == 0
    assert ask(store_path, "select distinct trade_count from candles_1m") == [(5,)]


def test_values_that_an_import_lacked_are_brought_by_a_later_answer(append: Any, store_path: Path) -> None:
    append(source="import", trade_count=None)
    appended = append(source="rest")
    assert appended.rows_revised == 3
    assert ask(store_path, "select distinct old_trade_count, new_trade_count, applied from revisions") == [
        (None, 5, True)
    ]


def test_a_candle_that_a_conclusive_answer_lacks_is_removed(append: Any, store_path: Path) -> None:
    first = append(minutes=3)
    later = append(minutes=3, skip=[1])
    assert (later.rows_added, later.rows_revised) == (0, 1)
    assert ask(store_path, "select open_time from candles_1m order by 1") == [(START,), (START + 2 * MINUTE,)]
    ((*values, old_id, new_id, applied, _),) = ask(store_path, "select * exclude (symbol) from revisions")
    assert values == [START + MINUTE, 10.0, 12.0, 9.0, 11.0, 2.0, 20.0, 5, 1.0, 10.0, *[None] * 9]
    assert (old_id, new_id, applied) == (first.request_id, later.request_id, True)


def test_a_candle_that_an_inconclusive_answer_lacks_stays(append: Any, store_path: Path) -> None:
    append(minutes=3)
    assert append(minutes=3, skip=[1], conclusive=0).rows_revised == 0
    assert len(closes(store_path)) == 3
    assert ask(store_path, "select count(*) from revisions") == [(0,)]


def test_a_candle_that_an_answer_of_lower_rank_lacks_stays_and_is_recorded(append: Any, store_path: Path) -> None:
    append(minutes=3)
    assert append(minutes=3, source="archive_daily", skip=[1]).rows_revised == 0
    assert len(closes(store_path)) == 3
    assert ask(store_path, "select open_time, new_close, applied from revisions") == [(START + MINUTE, None, False)]


def test_a_candle_whose_minute_was_rejected_stays(append: Any, store_path: Path) -> None:
    append(minutes=3)
    append(minutes=3, skip=[1], rejected=(START + MINUTE, None))
    assert len(closes(store_path)) == 3
    assert ask(store_path, "select count(*) from revisions") == [(0,)]
    assert ask(store_path, "select minute, raw, reason from rejected_rows order by minute nulls last") == [
        (START + MINUTE, "[]", "off_grid"),
        (None, "[]", "off_grid"),
    ]
    assert ask(store_path, "select rows_received, rows_rejected from requests order by rows_rejected desc limit 1") == [
        (4, 2)
    ]


def test_other_symbols_and_minutes_are_left_alone(append: Any, store_path: Path) -> None:
    append(minutes=5, symbol="ETHUSDC")
    append(minutes=5)
    append(minutes=0, conclusive=2, start=START + MINUTE)
    assert ask(store_path, "select symbol, count(*) from candles_1m group by all order by 1") == [
        ("BTCUSDC", 3),
        ("ETHUSDC", 5),
    ]


def test_a_candle_removed_and_brought_again_is_added(append: Any, store_path: Path) -> None:
    append(minutes=3)
    append(minutes=3, skip=[1])
    assert append(minutes=3).rows_added == 1
    assert len(closes(store_path)) == 3


def test_several_symbols_in_one_batch_keep_their_own_counts(store: Store, append: Any, make_candles: Any) -> None:
    append(minutes=3, symbol="BTCUSDC")
    pages = [
        Page(
            symbol,
            "1m",
            "rest",
            START,
            START + 4 * MINUTE,
            make_candles(symbol, minutes=4, close=10.5),
            REJECTED_SCHEMA.empty_table(),
            "https://a.test",
            (b"[]",),
            datetime(2024, 2, 1),
            0.1,
        )
        for symbol in ("BTCUSDC", "ETHUSDC")
    ]
    requests = [OpenRequest(page) for page in pages]
    stored = append_to_store(store, make_batches(requests))
    appended = {row.request_id: (row.rows_added, row.rows_revised) for row in stored}
    assert [appended[request.request_id] for request in requests] == [(1, 3), (4, 0)]


def test_a_failure_in_the_middle_leaves_nothing_behind(
    store: Store, store_path: Path, append: Any, make_candles: Any
) -> None:
    append(minutes=3)
    before = {table: ask(store_path, f"from {table}") for table in TABLES}
    good = OpenRequest(
        Page(
            "BTCUSDC",
            "1m",
            "rest",
            START,
            START + 9 * MINUTE,
            make_candles(minutes=9, skip=[1], close=10.5),
            pa.Table.from_pylist([{"symbol": "BTCUSDC", "minute": START, "raw": "[]", "reason": "x"}], REJECTED_SCHEMA),
            "https://a.test",
            (b"[]",),
            datetime(2024, 2, 1),
            0.1,
        )
    )
    (first,) = make_batches([good])
    nameless = first.requests.set_column(7, "url", pa.nulls(1, pa.string()))
    for batches in ([first._replace(requests=nameless)], [first, Batch(first.candles, first.rejected, nameless)]):
        with pytest.raises(StoreError, match=r"^sql/append/insert_requests\.sql: .*NOT NULL"):
            append_to_store(store, batches)
        assert {table: ask(store_path, f"from {table}") for table in TABLES} == before


def test_an_append_of_nothing_makes_the_store(store: Store, store_path: Path) -> None:
    assert append_to_store(store, []) == []
    assert ask(store_path, "select count(*) from candles_1m") == [(0,)]


# What somebody typed


def test_user_sql_returns_its_rows(append: Any, store: Store) -> None:
    append()
    table = store.query_user_sql("select symbol, count(*) as candles from candles_1m group by symbol;")
    assert table.to_pylist() == [{"symbol": "BTCUSDC", "candles": 3}]


@pytest.mark.parametrize(
    "statement",
    [
        "insert into candles_1m select * from candles_1m",
        "delete from candles_1m",
        "update candles_1m set close = 1",
        "drop table candles_1m",
        "create table t as select 1",
        "create or replace view gaps as select 1",
        "copy candles_1m to '{folder}/out.csv'",
        "copy (select 1) to '{folder}/out.parquet'",
        "export database '{folder}/out'",
        "attach '{folder}/out.duckdb' as other",
        "select * from read_csv('{folder}/secret.csv')",
        "select * from read_text('{folder}/secret.csv')",
        "select * from '{folder}/secret.csv'",
        "select * from glob('{folder}/*')",
        "install httpfs",
        "load httpfs",
        "set threads = 1",
        "set memory_limit = '1TB'",
        "set enable_external_access = true",
        "set lock_configuration = false",
        "reset enable_external_access",
        "pragma enable_external_access = true",
        "select 1; delete from candles_1m",
        "select * from statement",
        "select * from self",
        "select * from relation",
    ],
)
def test_user_sql_can_only_read_this_store(
    append: Any, store: Store, store_path: Path, tmp_path: Path, statement: str
) -> None:
    append()
    (tmp_path / "secret.csv").write_text("a\n1\n")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(QueryError) as raised:
        store.query_user_sql(statement.format(folder=tmp_path))
    assert "\n" not in str(raised.value)
    assert sorted(tmp_path.rglob("*")) == before
    assert closes(store_path) == [11.0] * 3


@pytest.mark.parametrize(
    "statement", ["", ";", "-- nothing", "selec 1", "select nothing from candles_1m", "select 1/'x'"]
)
def test_user_sql_that_cannot_run_is_a_query_error(append: Any, store: Store, statement: str) -> None:
    append()
    with pytest.raises(QueryError) as raised:
        store.query_user_sql(statement)
    assert str(raised.value)
    assert "\n" not in str(raised.value)


def test_user_sql_on_a_missing_store_says_how_to_make_one(store: Store) -> None:
    with pytest.raises(StoreError, match="There is no store at"):
        store.query_user_sql("select 1")


def test_settings_of_the_market_reach_the_store(store_path: Path) -> None:
    settings = replace(StoreSettings(database=store_path), market="other_market")
    with Store(settings).writing():
        pass
    assert ask(store_path, "select market from store_info") == [("other_market",)]
