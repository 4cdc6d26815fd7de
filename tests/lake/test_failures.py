"""What a lake that cannot be used says: one sentence, what to do, and no password."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lake.conftest import Threadx, write_settings
from tests.lake.server import PASSWORD, Server
from threadx_duck.config import Settings
from threadx_duck.simulator import LoopbackExchange
from threadx_duck.storage.schema import SCHEMA_VERSION
from threadx_duck.storage.store import Store

INGEST = ("ingest", "BTCUSDC", "--start", "2024-01-01", "--end", "2024-01-01")


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        pytest.param({"password": "sesame-open"}, "refuses the password of threadx", id="password"),
        pytest.param({"host": "nowhere.invalid"}, "no machine called nowhere.invalid", id="host"),
        pytest.param({"port": "1"}, "PostgreSQL at 127.0.0.1:1 does not answer", id="port"),
        pytest.param(
            {"dbname": "nothing"}, "has no database nothing. Make it with: createdb -h 127.0.0.1 -p ", id="database"
        ),
        pytest.param({"user": "nobody"}, "refuses the password of nobody", id="user"),
    ],
)
def test_catalog_that_cannot_be_reached_is_told(
    server: Server, exchange: LoopbackExchange, tmp_path: Path, threadx: Threadx, parts: dict[str, str], sentence: str
) -> None:
    write_settings(tmp_path, exchange, server.address(**({"dbname": "postgres"} | parts)))
    for arguments in (("status",), INGEST, ("--verbose", "status")):
        answer = threadx(*arguments)
        assert answer.code == 1
        assert sentence in answer.err.splitlines()[-1]
        assert answer.err.splitlines()[-1].startswith("threadx: error: ")
        assert PASSWORD not in answer.err
        assert "sesame" not in answer.err
    doctor = threadx("doctor", "--json")
    assert doctor.code == 3
    assert sentence in next(row["text"] for row in doctor.document["findings"] if row["topic"] == "store")


def test_lake_that_is_not_there_yet_is_told(lake_settings: Settings, threadx: Threadx) -> None:
    answer = threadx("status")
    assert answer.code == 1
    assert "There is no lake in ducklake:postgres:" in answer.err
    assert "Make one with: threadx ingest" in answer.err
    assert threadx("doctor", "--json").code == 0
    assert not Path("lake").exists()


def test_new_lake_without_a_data_path_is_told(lake_settings: Settings, threadx: Threadx, address: str) -> None:
    answer = threadx("--db", address, *INGEST)
    assert answer.code == 1
    assert "Say where its files go" in answer.err
    assert threadx(*INGEST).code == 0
    assert threadx("--db", address, "status").code == 0


def test_data_path_that_is_not_the_lakes_is_told(
    lake_settings: Settings, threadx: Threadx, address: str, exchange: LoopbackExchange, tmp_path: Path
) -> None:
    assert threadx(*INGEST).code == 0
    write_settings(tmp_path, exchange, address, data_path="elsewhere")
    answer = threadx("status")
    assert answer.code == 1
    assert "the lake remembers it" in answer.err


def test_other_market_is_refused(
    lake_settings: Settings, threadx: Threadx, address: str, exchange: LoopbackExchange, tmp_path: Path
) -> None:
    assert threadx(*INGEST).code == 0
    write_settings(tmp_path, exchange, address, market="binance_usdm")
    answer = threadx("status")
    assert answer.code == 1
    assert "holds binance_spot, but [data.store] market is binance_usdm" in answer.err


def test_reader_may_read_and_is_told_that_it_may_not_write(
    lake_settings: Settings, threadx: Threadx, server: Server, address: str
) -> None:
    assert threadx(*INGEST).code == 0
    name = address.split("dbname=")[1]
    reader = f"reader_of_{name}"
    server.ask(f"create role {reader} login password 'only-reads'")
    server.ask(f"grant select on all tables in schema public to {reader}", name)
    as_reader = server.address(user=reader, password="only-reads", dbname=name)
    assert threadx("--db", as_reader, "status", "--json").document["candles"] == 1_320
    assert threadx("--db", as_reader, "gaps").code == 0
    answer = threadx("--db", as_reader, "ingest", "--end", "2024-01-02")
    assert answer.code == 1
    assert f"PostgreSQL does not let {reader} do this" in answer.err


def test_file_that_is_missing_is_told(lake_settings: Settings, threadx: Threadx) -> None:
    assert threadx(*INGEST, "ETHUSDC", "SOLUSDC").code == 0
    assert threadx("compact").code == 0
    for path in Path("lake/main/candles_1m").rglob("*.parquet"):
        path.unlink()
    answer = threadx("fingerprint")
    assert answer.code == 1
    assert "A file of ducklake:postgres:" in answer.err
    assert "under the same name" in answer.err


def test_database_that_holds_something_else_stays_as_it_is(
    server: Server, exchange: LoopbackExchange, tmp_path: Path, threadx: Threadx, address: str
) -> None:
    name = address.split("dbname=")[1]
    server.ask("create table mine (a integer)", name)
    write_settings(tmp_path, exchange, address)
    assert threadx(*INGEST).code == 0
    assert server.ask("select count(*) from mine", name) == "0"


def test_schema_of_a_newer_version_is_refused(lake_settings: Settings, threadx: Threadx) -> None:
    assert threadx(*INGEST).code == 0
    Store(lake_settings.store).change(
        (), lambda session: session._connection.execute("update store_info set schema_version = 99")
    )
    for arguments in (("status",), ("ingest",)):
        answer = threadx(*arguments)
        assert answer.code == 1
        assert "written by a newer threadx_duck (schema 99" in answer.err


@pytest.mark.parametrize("command", [("ingest",), ("compact",), ("follow", "--once")], ids=lambda command: command[0])
def test_lake_of_an_older_version_is_read_as_it_is_and_upgraded_by_what_writes(
    lake_settings: Settings, threadx: Threadx, command: tuple[str, ...]
) -> None:
    assert threadx(*INGEST).code == 0
    Store(lake_settings.store).change(
        (), lambda session: session._connection.execute("drop view gaps; update store_info set schema_version = 0")
    )
    assert threadx("status").code == 0
    answer = threadx("gaps")
    assert answer.code == 1
    assert "lacks what this needs. It is added by: threadx ingest" in answer.err
    answer = threadx(*command)
    assert answer.code == 0, answer.err
    assert threadx("gaps").code == 0
    info = Store(lake_settings.store).info()
    assert info is not None
    assert info.schema_version == SCHEMA_VERSION


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        pytest.param("pasword", "PostgreSQL knows no pasword in an address", id="mistyped"),
        pytest.param("PASSWORD", "PostgreSQL knows no PASSWORD in an address", id="case"),
        pytest.param("sslpassword", "DuckDB would show the sslpassword of the lake's address", id="shown"),
        pytest.param("oauth_client_secret", "DuckDB would show the oauth_client_secret", id="oauth"),
    ],
)
def test_secret_in_an_address_that_cannot_be_hidden_is_refused_without_its_value(
    exchange: LoopbackExchange, tmp_path: Path, threadx: Threadx, address: str, key: str, sentence: str
) -> None:
    write_settings(tmp_path, exchange, f"{address} {key}=open-sesame")
    shown = [threadx(*arguments) for arguments in (("status",), ("config",), ("doctor",), ("query", "select 1"))]
    shown.append(threadx("--verbose", "--db", f"{address} {key}='open-sesame'", "status"))
    log = "".join(path.read_text() for path in Path("logs").glob("*.log"))
    for answer in shown:
        assert answer.code == 2, answer
        assert sentence in answer.err.splitlines()[-1]
        for secret in ("sesame", PASSWORD):
            assert secret not in answer.out + answer.err + log


@pytest.mark.parametrize(
    "path", ["s3://", "s3:///candles", "s3:/bucket", "ftp://host/x", "s3://me:sesame@bucket", "s3://b?secret=sesame"]
)
def test_data_path_that_names_no_bucket_is_refused_and_makes_no_folder(
    exchange: LoopbackExchange, tmp_path: Path, threadx: Threadx, address: str, path: str
) -> None:
    write_settings(tmp_path, exchange, address, data_path=path)
    before = sorted(tmp_path.iterdir())
    for answer in (threadx(*INGEST), threadx("--db", "file.duckdb", "migrate", address, "--data-path", path)):
        assert answer.code == 2, answer
        assert "object storage such as s3://bucket/candles" in answer.err.splitlines()[-1]
        assert "sesame" not in answer.out + answer.err
    assert sorted(tmp_path.iterdir()) == before


def test_file_that_is_cut_short_is_told(lake_settings: Settings, threadx: Threadx) -> None:
    assert threadx(*INGEST).code == 0
    assert threadx("compact").code == 0
    for path in Path("lake/main/candles_1m").rglob("*.parquet"):
        path.write_bytes(path.read_bytes()[:9])
    for arguments in (("fingerprint",), ("query", "select sum(close) from candles_1m")):
        answer = threadx(*arguments)
        assert answer.code == 1, answer
        assert "is cut short or damaged" in answer.err.splitlines()[-1]
        assert "threadx doctor" in answer.err.splitlines()[-1]


def test_publish_without_a_path_says_that_a_lake_needs_none(lake_settings: Settings, threadx: Threadx) -> None:
    assert threadx(*INGEST).code == 0
    answer = threadx("publish")
    assert answer.code == 2
    assert "needs no read copy" in answer.err
