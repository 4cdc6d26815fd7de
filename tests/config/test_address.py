"""`threadx_duck.config.address` and what a lake's failures are called: nothing here needs PostgreSQL."""

from __future__ import annotations

import logging
from pathlib import Path

import duckdb
import pytest

from threadx_duck.cli.main import run
from threadx_duck.config import get_settings
from threadx_duck.config.address import LakeAddress, read_address
from threadx_duck.errors import (
    NoLakeError,
    SettingsError,
    StoreConflictError,
    StoreError,
    StoreLockedError,
    UsageError,
)
from threadx_duck.storage.failures import open_error
from threadx_duck.storage.lake_failures import lake_error

SECRET = "it's a \\ secret"
ADDRESS = "ducklake:postgres:dbname=candles host=db.example port=5433 user=me password='it\\'s a \\\\ secret'"


def _lake(text: str = ADDRESS) -> LakeAddress:
    address = read_address(text)
    assert isinstance(address, LakeAddress)
    return address


def test_address_is_read_by_the_rules_of_libpq() -> None:
    lake = _lake("ducklake:postgres: dbname = candles  host='' options='-c work_mem=1GB' user=a\\ b")
    assert lake.catalog == (("dbname", "candles"), ("host", ""), ("options", "-c work_mem=1GB"), ("user", "a b"))
    assert _lake().password == SECRET


def test_address_shows_no_password() -> None:
    lake = _lake()
    for text in (str(lake), repr(lake), f"{lake}", lake.connection, lake.scrub(f"at {SECRET}!")):
        assert "secret" not in text
    assert str(lake) == "ducklake:postgres:dbname=candles host=db.example port=5433 user=me password=***"


def test_address_written_for_duckdb_reads_back_as_the_same() -> None:
    lake = _lake("ducklake:postgres:dbname='a b' options='it\\'s \\\\'")
    again = _lake(lake.connection)
    assert dict(again.catalog) == dict(lake.catalog) | {"connect_timeout": "10"}


def test_addresses_are_equal_if_they_lead_to_one_catalog() -> None:
    same = _lake("ducklake:postgres:user=other host=db.example port=5433 dbname=candles")
    assert same == _lake()
    assert hash(same) == hash(_lake())
    assert _lake("ducklake:postgres:dbname=candles") != _lake()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param("ducklake:candles.ducklake", "catalog is a PostgreSQL database", id="file"),
        pytest.param("ducklake:sqlite:candles.sqlite", "catalog is a PostgreSQL database", id="sqlite"),
        pytest.param("ducklake:postgres:", "names its PostgreSQL database", id="empty"),
        pytest.param("ducklake:postgres:postgresql://me:secret@db/x", "written in pairs", id="url"),
        pytest.param("ducklake:postgres:password=secret dbname='x", "written in pairs", id="quote"),
    ],
)
def test_address_that_cannot_be_used_is_refused_without_showing_it(
    text: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError) as caught:
        read_address(text)
    assert sentence in str(caught.value)
    (tmp_path / "paths.toml").write_text(f'[data.store]\ndatabase = "{text}"\n')
    with pytest.raises(SettingsError) as refused:
        get_settings()
    assert "[data.store] database: " in str(refused.value)
    assert run(["--db", text, "--config", "none.toml", "status"]) == 2
    assert run(["diff", text]) == 2
    assert "secret" not in str(caught.value) + str(refused.value) + "".join(capsys.readouterr())


def test_settings_name_a_lake_and_where_its_files_go(tmp_path: Path) -> None:
    (tmp_path / "paths.toml").write_text('[data.store]\ndatabase = "ducklake:postgres:dbname=x"\ndata_path = "files"\n')
    store = get_settings().store
    assert isinstance(store.database, LakeAddress)
    assert store.database.data_path == store.data_path == str(tmp_path / "files")
    (tmp_path / "paths.toml").write_text(
        '[data.store]\ndatabase = "ducklake:postgres:dbname=x"\ndata_path = "s3://bucket/candles"\n'
    )
    assert get_settings().store.data_path == "s3://bucket/candles"


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        pytest.param('data_path = "files"', "data_path is where a lake keeps its files", id="file"),
        pytest.param('database = "ducklake:postgres:dbname=x"\nread_copy = "y"', "read_copy is for a file", id="copy"),
    ],
)
def test_settings_that_do_not_belong_together_are_refused(tmp_path: Path, lines: str, sentence: str) -> None:
    (tmp_path / "paths.toml").write_text(f"[data.store]\n{lines}\n")
    with pytest.raises(SettingsError) as caught:
        get_settings()
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("creating a new DuckLake is explicitly disabled", "There is no lake in"),
        ("but data_path is not set", "Say where its files go: [data.store] data_path"),
        ('DATA_PATH "x" does not match existing data path in the catalog', "the lake remembers it"),
        ("FATAL:  password authentication failed", "refuses the password of me"),
        ('FATAL:  database "candles" does not exist', "has no database candles. Make it with: createdb -h db.example"),
        ('FATAL:  role "me" does not exist', "knows no user me"),
        ("could not translate host name", "no machine called db.example"),
        ("Connection refused", "PostgreSQL at db.example:5433 does not answer"),
        ("server closed the connection unexpectedly", "ended the connection"),
        ("FATAL: sorry, too many clients already", "max_connections"),
        ("ERROR: permission denied for table x", "does not let me do this"),
        ("DuckLake catalog version mismatch", "pip install -U duckdb"),
        ("No space left on device", "A disk is full"),
        (f"HTTP Error: 403 for s3://b {SECRET}", "DuckDB's secrets"),
        ('Cannot open file "/mnt/x.parquet"', "under the same name"),
    ],
)
def test_failure_of_a_lake_is_told_in_a_sentence(said: str, sentence: str) -> None:
    told = open_error(_lake(), duckdb.IOException(said))
    assert sentence in str(told)
    assert SECRET not in str(told)


def test_failure_that_nobody_foresaw_shows_no_password() -> None:
    assert str(open_error(_lake(), duckdb.IOException(f"odd: {SECRET}"))) == f"Cannot use {_lake()}: odd: ***"


def test_conflict_and_absence_are_errors_of_their_own() -> None:
    conflict = duckdb.TransactionException("Failed to commit: Transaction conflict - attempting to insert")
    assert isinstance(lake_error(_lake(), conflict), StoreConflictError)
    absent = duckdb.InvalidInputException("creating a new DuckLake is explicitly disabled")
    assert isinstance(lake_error(_lake(), absent), NoLakeError)
    assert not isinstance(lake_error(_lake(), duckdb.IOException("Connection refused")), StoreLockedError)


def test_extensions_that_are_nowhere_are_told_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from threadx_duck.storage import lake_attach

    monkeypatch.setattr(lake_attach, "_EXTENSIONS", {"ducklake": "nowhere", "postgres": "nowhere"})
    with duckdb.connect(config={"custom_extension_repository": "/nowhere"}) as connection:
        connection.execute("set extension_directory = 'empty'")
        with caplog.at_level(logging.DEBUG), pytest.raises(StoreError) as caught:
            lake_attach.load_extensions(connection)
    assert "needs DuckDB's extension ducklake" in str(caught.value)
    assert "pip install 'threadx_duck[lake]'" in str(caught.value)
    assert "no package brings the extension ducklake" in caplog.text
