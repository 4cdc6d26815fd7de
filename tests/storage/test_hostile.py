"""Hostile input: nothing that a user, a file or the exchange sends leaves its place or takes all memory."""

from __future__ import annotations

import gzip
import io
import os
import resource
import zipfile
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from threadx_duck.archive.names import ArchiveFile
from threadx_duck.archive.source import read_archive_file
from threadx_duck.candles.klines import CANDLE_SCHEMA, read_kline_rows
from threadx_duck.cli.main import threadx
from threadx_duck.config import Settings
from threadx_duck.errors import BadResponseError, QueryError, ThreadxDuckError, UsageError
from threadx_duck.ingest import IngestionManager
from threadx_duck.simulator import LoopbackExchange
from threadx_duck.storage.session import identifier
from threadx_duck.storage.sqlfiles import literal
from threadx_duck.storage.store import Store
from threadx_duck.texts.symbols import plain

pytestmark = pytest.mark.slow

NAMES = [
    "'; drop table candles_1m; --",
    "BTC\"; attach 'x.duckdb' as x; --",
    "../../../../etc/passwd",
    "..",
    ".",
    "a/b\\c",
    "BTC\0USDC",
    "BTC\nUSDC: error",
    "-rf",
    "%2e%2e%2f",
    "ＢＴＣ币",
    "",
    "A" * 5_000,
]
FEW = examples(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def store(settings: Settings) -> Store:
    with IngestionManager(settings) as manager:
        manager.update_assets_batch(["BTCUSDC"], "2024-01-01", "2024-01-01")
        return manager.store


def _count(path: Path) -> int:
    with duckdb.connect(str(path), read_only=True) as connection:
        return int(connection.execute("select count(*) from candles_1m").fetchall()[0][0])


# Names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_symbol_of_any_text_touches_nothing_else(
    store: Store, settings: Settings, tmp_path: Path, exchange: LoopbackExchange, name: str
) -> None:
    before = {path for path in tmp_path.rglob("*") if "logs" not in path.parts}
    archive = replace(settings.archive, enabled=True, base_url=exchange.url, keep_files=True)
    with IngestionManager(replace(settings, archive=archive)) as manager:
        for source in ("rest", "archive", "auto"):
            if not plain(name):
                with pytest.raises(UsageError, match="A symbol is empty"):
                    manager.update_assets_batch([name], "2024-01-01", "2024-01-01")
                continue
            (result,) = manager.update_assets_batch([name], "2024-01-01", "2024-01-01", source=source).values()  # type: ignore[arg-type]
            assert result.status == "failed"
            assert result.error
        with pytest.raises(ThreadxDuckError):
            manager.candles(name)
    # The list of symbols, from which the nearest name is offered.
    kept = {settings.data.base_data_path / "symbols.json"}
    assert {path for path in tmp_path.rglob("*") if "logs" not in path.parts} - kept == before
    assert _count(store.path) == 1_320
    known = {"/api/v3/klines", "/api/v3/time", "/api/v3/exchangeInfo", "/"}
    assert all(request.path in known or request.path.startswith("/data/spot/") for request in exchange.requests)


@pytest.mark.parametrize("name", [name for name in NAMES if "\0" not in name], ids=range(len(NAMES) - 1))
def test_command_line_takes_any_symbol_without_a_traceback(store: Store, name: str) -> None:
    for command in (
        ["candles", "--", name, "1h"],
        ["status", "--", name],
        ["remove", "--yes", "--", name],
        ["gaps", "--", name],
    ):
        ran = CliRunner().invoke(threadx, command)
        assert ran.exception is None or isinstance(ran.exception, ThreadxDuckError | SystemExit), command
    assert _count(store.path) == 1_320


@FEW
@given(st.text(min_size=1))
def test_archive_name_of_any_symbol_stays_in_its_folder(symbol: str) -> None:
    try:
        file = ArchiveFile("archive_daily", symbol, datetime(2024, 1, 1))
        key = file.key
    except UnicodeEncodeError:
        return
    parts = key.split("/")
    assert len(parts) == 7
    assert not {"", ".", ".."} & set(parts)
    assert key.isascii()
    assert "\\" not in key
    assert ArchiveFile.of_name(file.name) == file


@FEW
@given(st.text())
def test_text_in_a_statement_stays_text(text: str) -> None:
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        return
    with duckdb.connect() as connection:
        assert connection.execute(f"select {literal(text)}").fetchall() == [(text,)]
        if text:
            assert connection.execute(f"select 1 as {identifier(text)}").description[0][0] == text


# The exchange's answers -------------------------------------------------------------------------------------------

CELLS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["1.0", "-1", "1e308", "1e999", "NaN", "inf", "0x10", "\u0661", 1_704_067_200_000, -1, 10**30]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=1),
)


@FEW
@given(st.lists(st.one_of(CELLS, st.lists(CELLS, max_size=14)), max_size=8))
def test_rows_of_anything_are_candles_or_rejected(rows: list[Any]) -> None:
    try:
        rows = orjson.loads(orjson.dumps(rows))
    except (TypeError, orjson.JSONEncodeError):
        return
    klines = read_kline_rows("X", rows)
    assert klines.candles.num_rows + klines.rejected.num_rows == len(rows)
    assert klines.candles.schema == CANDLE_SCHEMA
    for candle in klines.candles.to_pylist():
        assert 0 < candle["low"] <= min(candle["open"], candle["close"])
        assert max(candle["open"], candle["close"]) <= candle["high"] < float("inf")
        assert 0 <= candle["volume"] < float("inf")


def test_answer_that_is_endless_is_cut_off(settings: Settings, exchange: LoopbackExchange) -> None:
    exchange.fail("body", times=None, match="/api/v3/klines", body=b"[" + b"[0]," * 3_000_000)
    with IngestionManager(settings) as manager:
        result = manager.update_assets_batch(["BTCUSDC"], "2024-01-01", "2024-01-01")["BTCUSDC"]
    assert "sends more than" in str(result.error)


def test_answer_nested_too_deep_is_refused(settings: Settings, exchange: LoopbackExchange) -> None:
    exchange.fail("body", times=None, match="/api/v3/klines", body=b"[" * 200_000 + b"]" * 200_000)
    with IngestionManager(settings) as manager:
        result = manager.update_assets_batch(["BTCUSDC"], "2024-01-01", "2024-01-01")["BTCUSDC"]
    assert result.status == "failed"
    assert "something other than JSON" in str(result.error)


# Zips -------------------------------------------------------------------------------------------------------------

FILE = ArchiveFile("archive_daily", "BTCUSDC", datetime(2024, 1, 1))
LINE = "1704067200000,1,1,1,1,1,1704067259999,1,1,1,1,0\n"


def _zip(*members: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def test_zip_bomb_is_refused_before_it_is_unpacked() -> None:
    bomb = _zip(("x.csv", bytes(1 << 30)))
    assert len(bomb) < 2_000_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BadResponseError):
        read_archive_file(FILE, bomb)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000


def test_zip_that_lies_about_its_size_is_refused() -> None:
    bomb = bytearray(_zip(("x.csv", LINE.encode() * 2_000_000)))
    size = (len(LINE) * 2_000_000).to_bytes(4, "little")
    assert size in bomb
    with pytest.raises(BadResponseError):
        read_archive_file(FILE, bytes(bomb.replace(size, (1_000).to_bytes(4, "little"))))


@pytest.mark.parametrize("name", ["../../evil.csv", "/etc/cron.d/evil", "C:\\evil.csv", "a/../../b.csv"])
def test_member_name_of_a_zip_means_nothing(tmp_path: Path, name: str) -> None:
    klines = read_archive_file(FILE, _zip((name, LINE.encode())))
    assert klines.candles.num_rows == 1
    assert list(tmp_path.iterdir()) == []


# Arrow grumbles about a broken line that is no UTF-8 before it refuses the file.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@FEW
@given(st.one_of(st.binary(max_size=300), st.binary(max_size=200).map(lambda content: _zip(("x.csv", content)))))
def test_file_of_any_bytes_is_read_or_refused(body: bytes) -> None:
    try:
        klines = read_archive_file(FILE, body)
    except BadResponseError:
        return
    assert all(candle["open_time"].date() == datetime(2024, 1, 1).date() for candle in klines.candles.to_pylist())


# SQL --------------------------------------------------------------------------------------------------------------

WRITES = [
    "insert into candles_1m select * from candles_1m",
    "delete from candles_1m",
    "update candles_1m set close = 0",
    "drop table candles_1m",
    "create table t (i integer)",
    "create or replace view gaps as select 1",
    "alter table candles_1m add column x integer",
    "truncate candles_1m",
    "copy candles_1m to 'out.csv'",
    "copy (select 1) to 'out.parquet' (format parquet)",
    "export database 'out'",
    "import database 'out'",
    "attach 'out.duckdb' as other",
    "attach 'https://example.com/x.duckdb' as other",
    "from read_csv('paths.toml')",
    "from read_text('paths.toml')",
    "from read_blob('/etc/passwd')",
    "from 'paths.toml'",
    "from glob('*')",
    "from read_parquet('https://example.com/x.parquet')",
    "install httpfs",
    "load httpfs",
    "install spatial from community",
    "set memory_limit = '100GB'",
    "set enable_external_access = true",
    "set lock_configuration = false",
    "reset memory_limit",
    "set temp_directory = '.'",
    "set threads = 1000",
    "pragma memory_limit = '100GB'",
    "set profiling_output = 'out.json'",
    "set log_query_path = 'out.log'",
    "create persistent secret s (type http)",
    "select 1; drop table candles_1m",
    "select getenv('HOME')",
    "from query('copy candles_1m to ''out.csv''')",
]


# By the sandbox, not because a statement was written wrongly. The last three name what there is not for a statement.
REFUSALS = (
    "read-only mode|file system operations are disabled|configuration has been locked|external extensions is disabled"
    "|Cannot access directory|Table with name paths.toml|Function with name getenv|Expected a single SELECT statement"
)


@pytest.mark.parametrize("statement", WRITES)
def test_query_can_neither_write_nor_reach_out(store: Store, tmp_path: Path, statement: str) -> None:
    before, files = store.path.read_bytes(), sorted(tmp_path.rglob("*"))
    with pytest.raises(QueryError, match=REFUSALS):
        store.query_user_sql(statement)
    assert store.path.read_bytes() == before
    assert sorted(tmp_path.rglob("*")) == files


def test_query_leaves_nothing_behind_for_the_next(store: Store) -> None:
    with suppress(QueryError):
        store.query_user_sql("create temporary table t as select 42 as answer")
    with pytest.raises(QueryError):
        store.query_user_sql("from t")
    assert store.query_user_sql("select 1 as one").to_pylist() == [{"one": 1}]
    assert store.query_user_sql("from coverage").num_rows == 1


@FEW
@given(st.text(max_size=40))
def test_query_of_any_text_answers_or_is_refused(store: Store, statement: str) -> None:
    with suppress(QueryError):
        store.query_user_sql(statement)


def test_check_of_a_user_cannot_write(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "evil.sql").write_text("-- evil: Finds nothing.\ndelete from candles_1m returning symbol, open_time\n")
    ran = CliRunner().invoke(threadx, ["check", "--checks", str(folder)])
    assert isinstance(ran.exception, ThreadxDuckError)
    assert str(ran.exception) == f"{folder / 'evil.sql'}: a check is one select."
    assert _count(store.path) == 1_320


@FEW
@given(st.lists(st.text(max_size=12), max_size=4))
def test_command_line_of_any_words_ends_in_words(arguments: list[str]) -> None:
    if set(arguments) & {"demo", "ui"}:
        return
    ran = CliRunner().invoke(threadx, arguments)
    assert ran.exception is None or isinstance(ran.exception, ThreadxDuckError | SystemExit)


def test_gzip_bomb_as_content_encoding_is_cut_off(settings: Settings, exchange: LoopbackExchange) -> None:
    assert len(gzip.compress(bytes(1 << 26))) < 200_000
    exchange.fail(
        "body",
        times=None,
        match="/api/v3/klines",
        body=gzip.compress(bytes(1 << 26)),
        content_type="application/json\r\nContent-Encoding: gzip",
    )
    with IngestionManager(settings) as manager:
        result = manager.update_assets_batch(["BTCUSDC"], "2024-01-01", "2024-01-01")["BTCUSDC"]
    assert "sends more than" in str(result.error)
    assert not os.path.lexists("BTCUSDC")
