"""Read copies: readers stay connected to them while candles come in."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

from tests.support.processes import holding
from threadx_duck.candles.times import utc_now
from threadx_duck.cli.main import threadx
from threadx_duck.config import Settings
from threadx_duck.download.results import Progress
from threadx_duck.errors import StoreError, StoreLockedError, UsageError
from threadx_duck.ingest import IngestionManager
from threadx_duck.simulator import LoopbackExchange
from threadx_duck.storage.schema import SCHEMA_VERSION
from threadx_duck.storage.store import Store
from threadx_duck.upkeep.publish import publish

pytestmark = pytest.mark.slow

DAY_ONE = ("2024-01-01", "2024-01-01")
DAY_TWO = ("2024-01-02", "2024-01-02")


@pytest.fixture
def copy_path(tmp_path: Path) -> Path:
    return tmp_path / "bi" / "read.duckdb"


@pytest.fixture
def store(settings: Settings) -> Store:
    with IngestionManager(settings) as manager:
        manager.update_assets_batch(["BTCUSDC"], *DAY_ONE)
        return manager.store


def _with_copy(settings: Settings, path: Path) -> Settings:
    return replace(settings, store=replace(settings.store, read_copy=str(path)))


def _count(path: Path) -> int:
    with duckdb.connect(str(path), read_only=True) as connection:
        return int(connection.execute("select count(*) from candles_1m").fetchall()[0][0])


def test_publish_makes_a_copy_that_tells_its_age_and_source(store: Store, settings: Settings, copy_path: Path) -> None:
    before = utc_now()
    made = publish(store, settings.store, copy_path)
    info = Store(replace(settings.store, database=copy_path)).info()
    assert info is not None
    assert before <= made.published_at == info.published_at <= utc_now()
    assert info.published_from == str(store.path)
    assert made.bytes == copy_path.stat().st_size
    assert _count(copy_path) == _count(store.path) == 1_320
    own = store.info()
    assert own is not None
    assert own.published_at is None
    assert [entry.name for entry in copy_path.parent.iterdir()] == ["read.duckdb"]


def test_reader_of_a_copy_stays_connected_while_candles_come_in(
    store: Store, settings: Settings, copy_path: Path
) -> None:
    settings = _with_copy(settings, copy_path)
    publish(store, settings.store, copy_path)
    with holding(copy_path) as reader, IngestionManager(settings) as manager:
        manager.update_assets_batch(["BTCUSDC"], *DAY_TWO)
        assert reader.ask("select count(*) from candles_1m") == "[(1320,)]"
        assert _count(copy_path) == 2_760
        with holding(copy_path) as later:
            assert later.ask("select count(*) from candles_1h") == "[(46,)]"
        manager.update_assets_batch(["ETHUSDC"], *DAY_ONE)
        assert reader.ask("select count(*) from candles_1m") == "[(1320,)]"
    assert _count(copy_path) == 4_080


def test_ingest_that_changes_nothing_leaves_the_copy(settings: Settings, copy_path: Path) -> None:
    settings = _with_copy(settings, copy_path)
    with IngestionManager(settings) as manager:
        manager.update_assets_batch(["BTCUSDC"], *DAY_ONE)
        first = copy_path.stat().st_ino
        manager.update_assets_batch(["BTCUSDC"], *DAY_ONE)
        assert copy_path.stat().st_ino == first
        copy_path.unlink()
        manager.update_assets_batch(["BTCUSDC"], *DAY_ONE, dry_run=True)
        assert not copy_path.exists()
        manager.update_assets_batch(["BTCUSDC"], *DAY_ONE)
        assert _count(copy_path) == 1_320


def test_ingest_that_was_interrupted_publishes_what_it_stored(
    settings: Settings, copy_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with IngestionManager(_with_copy(settings, copy_path)) as manager:

        def interrupted(*arguments: object, **options: object) -> None:
            with IngestionManager(settings) as other:
                other.update_assets_batch(["BTCUSDC"], *DAY_ONE)
            raise KeyboardInterrupt

        monkeypatch.setattr(manager, "_download", interrupted)
        with pytest.raises(KeyboardInterrupt):
            manager.update_assets_batch(["BTCUSDC"], *DAY_TWO)
    assert _count(copy_path) == 1_320


def test_ingest_that_fails_for_a_symbol_publishes_the_others(
    settings: Settings, copy_path: Path, exchange: LoopbackExchange
) -> None:
    exchange.fail(404, times=None, match="ETHUSDC")
    with IngestionManager(_with_copy(settings, copy_path)) as manager:
        results = manager.update_assets_batch(["BTCUSDC", "ETHUSDC"], *DAY_ONE)
    assert results["ETHUSDC"].status == "failed"
    assert _count(copy_path) == 1_320


def test_copy_that_cannot_be_made_fails_the_ingest_but_not_the_candles(settings: Settings, copy_path: Path) -> None:
    copy_path.parent.write_text("a file where a folder belongs")
    with (
        IngestionManager(_with_copy(settings, copy_path)) as manager,
        pytest.raises(StoreError, match="The candles are stored, but the read copy is as old as before"),
    ):
        manager.update_assets_batch(["BTCUSDC"], *DAY_ONE)
    assert _count(settings.store.database) == 1_320


def test_copy_that_cannot_be_made_after_an_interruption_is_noted(
    settings: Settings, copy_path: Path, monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    notes: list[str] = []
    progress = Progress()
    monkeypatch.setattr(progress, "note", notes.append)
    copy_path.parent.write_text("a file where a folder belongs")
    with IngestionManager(_with_copy(settings, copy_path), progress=progress) as manager:

        def interrupted(*arguments: object, **options: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(manager, "_download", interrupted)
        with pytest.raises(KeyboardInterrupt):
            manager.update_assets_batch(["BTCUSDC"], *DAY_TWO)
    assert [note for note in notes if note.startswith("The read copy is as old as before: ")] == notes
    assert len(notes) == 1


@pytest.mark.parametrize("case", ["store", "folder", "document", "other_database", "junk"])
def test_publish_onto_something_else_is_refused(
    store: Store, settings: Settings, tmp_path: Path, copy_path: Path, case: str
) -> None:
    copy_path.parent.mkdir()
    target, expected = copy_path, "is there already and is no read copy"
    match case:
        case "store":
            target, expected = store.path, "is the store itself"
        case "folder":
            target, expected = copy_path.parent, "is a folder"
        case "document":
            copy_path.write_text("important words " * 1_000)
        case "junk":
            copy_path.write_bytes(os.urandom(20_000))
        case "other_database":
            duckdb.connect(str(copy_path)).close()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(StoreError, match=expected):
        publish(store, settings.store, target)
    assert target.is_dir() == (case == "folder")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_publish_while_a_reader_holds_the_store_goes_on(store: Store, settings: Settings, copy_path: Path) -> None:
    with holding(store.path, "ro"):
        publish(store, settings.store, copy_path)
    assert _count(copy_path) == 1_320


def test_publish_while_a_writer_holds_the_store_names_it(store: Store, settings: Settings, copy_path: Path) -> None:
    with holding(store.path, "rw") as writer, pytest.raises(StoreLockedError, match=f"process {writer.pid}"):
        publish(store, settings.store, copy_path)
    assert not copy_path.exists()


def test_publish_of_a_store_left_with_a_log_copies_its_commits(
    store: Store, settings: Settings, copy_path: Path
) -> None:
    with holding(store.path, "rw") as writer:
        writer.ask("insert into rejected_rows values ('BTCUSDC', null, 'x', 'unreadable', 1)")
        os.kill(writer.pid, 9)
    assert store.file.log.exists()
    publish(store, settings.store, copy_path)
    with duckdb.connect(str(copy_path), read_only=True) as connection:
        assert connection.execute("select count(*) from rejected_rows").fetchall() == [(1,)]
    assert not store.file.log.exists()


def test_read_copy_is_not_ingested_into(store: Store, settings: Settings, copy_path: Path) -> None:
    publish(store, settings.store, copy_path)
    copied = replace(settings, store=replace(settings.store, database=copy_path))
    with IngestionManager(copied) as manager, pytest.raises(StoreError, match=r"is a read copy of .*threadx\.duckdb"):
        manager.update_assets_batch(["BTCUSDC"], *DAY_TWO)
    assert _count(copy_path) == 1_320


def test_status_of_a_read_copy_tells_age_and_source(store: Store, settings: Settings, copy_path: Path) -> None:
    made = CliRunner().invoke(threadx, ["publish", str(copy_path), "--json"])
    assert made.exit_code == 0
    assert f'"path": "{copy_path}"' in made.stdout
    shown = CliRunner().invoke(threadx, ["--db", str(copy_path), "status"])
    assert f"A read copy of {store.path}, taken 0 minutes ago." in shown.stderr
    document = CliRunner().invoke(threadx, ["--db", str(copy_path), "status", "--json"]).stdout
    assert f'"published_from": "{store.path}"' in document
    assert '"published_at"' in document
    assert "published" not in CliRunner().invoke(threadx, ["status", "--json"]).stdout


def test_publish_without_a_path_takes_that_of_the_settings(store: Store, tmp_path: Path) -> None:
    refused = CliRunner().invoke(threadx, ["publish"])
    assert isinstance(refused.exception, UsageError)
    assert "Name a file: threadx publish PATH" in str(refused.exception)
    (tmp_path / "with.toml").write_text('[data.store]\nread_copy = "bi/read.duckdb"\n')
    done = CliRunner().invoke(threadx, ["--config", "with.toml", "publish"])
    assert done.exit_code == 0
    assert _count(tmp_path / "bi" / "read.duckdb") == 1_320


def test_copy_of_an_older_version_is_replaced(store: Store, settings: Settings, copy_path: Path) -> None:
    publish(store, settings.store, copy_path)
    with duckdb.connect(str(copy_path)) as connection:
        connection.execute("update store_info set schema_version = 0, published_at = ?", [datetime(2020, 1, 1)])
    made = publish(store, settings.store, copy_path)
    assert made.published_at > datetime(2020, 1, 1) + timedelta(days=1)
    info = Store(replace(settings.store, database=copy_path)).info()
    assert info is not None
    assert (info.schema_version, info.published_at) == (SCHEMA_VERSION, made.published_at)
    assert _count(copy_path) == 1_320
