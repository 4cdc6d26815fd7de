"""`threadx_duck.upkeep.migrate` from file to file; into lakes and back: `tests/lake/test_migrate.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from threadx_duck.audit.fingerprints import compute_fingerprint
from threadx_duck.cli.main import run
from threadx_duck.config import Settings
from threadx_duck.errors import StoreError, UsageError
from threadx_duck.ingest import IngestionManager
from threadx_duck.storage.store import Store
from threadx_duck.upkeep import migrate as migration
from threadx_duck.upkeep.migrate import migrate

pytestmark = pytest.mark.slow

TABLES = ("candles_1m", "requests", "rejected_rows", "revisions", "native_candles", "store_info")


@pytest.fixture
def source(settings: Settings) -> Store:
    """A store with every kind of evidence."""
    with IngestionManager(settings) as manager:
        manager.update_assets_batch(["BTCUSDC", "ETHUSDC"], "2024-01-01", "2024-01-02")
        manager.verify(["BTCUSDC"], "4h")
        store = manager.store
    with duckdb.connect(str(store.path)) as connection:
        connection.execute("insert into rejected_rows values ('ETHUSDC', null, 'x', 'unreadable', 1)")
        connection.execute(
            "insert into revisions by name select symbol, open_time, open as old_open, 1.0 as new_open, "
            "request_id as old_request_id, request_id as new_request_id, false as applied, open_time as revised_at "
            "from candles_1m limit 3"
        )
    return store


@pytest.fixture
def target(settings: Settings, tmp_path: Path) -> Store:
    return Store(replace(settings.store, database=tmp_path / "target.duckdb"))


def _rows(store: Store, table: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(store.path), read_only=True) as connection:
        return connection.execute(f"from {table} order by all").fetchall()


def _require_same(source: Store, target: Store) -> None:
    for table in TABLES:
        assert _rows(target, table) == _rows(source, table), table
        assert _rows(target, table), table


def test_migration_copies_candles_and_all_evidence(source: Store, target: Store) -> None:
    told: list[tuple[int, int]] = []
    done = migrate(source, target, lambda copied, total: told.append((copied, total)))
    _require_same(source, target)
    assert (done.symbols, done.candles, done.candles_copied) == (2, 5_520, 5_520)
    assert done.sha256 == compute_fingerprint(source).sha256
    assert told == [(2_760, 5_520), (5_520, 5_520)]


def test_migration_done_already_copies_nothing(source: Store, target: Store) -> None:
    migrate(source, target)
    assert migrate(source, target).candles_copied == 0
    _require_same(source, target)


@pytest.mark.parametrize("step", ["_copy_candles", "_copy_evidence", "_copy_age", "_compare"])
def test_migration_that_was_ended_goes_on(
    source: Store, target: Store, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    original: Callable[..., Any] = getattr(migration, step)

    def end(*arguments: Any) -> Any:
        original(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(migration, step, end)
        with pytest.raises(KeyboardInterrupt):
            migrate(source, target)
    done = migrate(source, target)
    assert done.candles_copied < done.candles
    _require_same(source, target)


def test_source_that_grows_and_is_revised_is_followed(source: Store, target: Store, settings: Settings) -> None:
    migrate(source, target)
    with IngestionManager(settings) as manager:
        manager.update_assets_batch(["BTCUSDC", "SOLUSDC"], "2024-01-01", "2024-01-03")
    done = migrate(source, target)
    assert done.candles_copied == 1_440 + 2_160
    _require_same(source, target)


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        pytest.param(
            "update candles_1m set close = close + 1 where symbol = 'BTCUSDC'", "BTCUSDC in 2024-01", id="value"
        ),
        pytest.param(
            "update candles_1m set symbol = 'XUSDC' where symbol = 'BTCUSDC'", "something of XUSDC", id="symbol"
        ),
        pytest.param(
            "insert into candles_1m select * replace (open_time + interval 1 year as open_time) from candles_1m",
            "in 2025-01",
            id="month",
        ),
        pytest.param("insert into rejected_rows values ('X', null, '', '', 1)", "something of X", id="evidence"),
    ],
)
def test_target_with_other_content_is_refused_and_stays(
    source: Store, target: Store, statement: str, sentence: str
) -> None:
    migrate(source, target)
    with duckdb.connect(str(target.path)) as connection:
        connection.execute(statement)
    before = [_rows(target, table) for table in TABLES]
    with pytest.raises(UsageError) as caught:
        migrate(source, target)
    assert sentence in str(caught.value)
    assert [_rows(target, table) for table in TABLES] == before


def test_source_written_to_meanwhile_is_told(source: Store, target: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    original = migration._copy_age

    def write_too(ours: Store, theirs: Store) -> None:
        original(ours, theirs)
        with duckdb.connect(str(ours.path)) as connection:
            connection.execute("update candles_1m set close = 7 where open_time = '2024-01-02'")

    monkeypatch.setattr(migration, "_copy_age", write_too)
    with pytest.raises(StoreError) as caught:
        migrate(source, target)
    assert "differs from" in str(caught.value)
    assert "candles of BTCUSDC, candles of ETHUSDC: somebody wrote" in str(caught.value)


def test_target_that_somebody_fills_meanwhile_is_told(
    source: Store, target: Store, monkeypatch: pytest.MonkeyPatch, make_candles: Callable[..., Any]
) -> None:
    original = migration._copy_candles

    def too_late(*arguments: Any) -> int:
        original(*arguments)
        return original(*arguments)

    monkeypatch.setattr(migration, "_copy_candles", too_late)
    with pytest.raises(StoreError, match="Somebody else writes to"):
        migrate(source, target)


def test_migration_into_itself_is_refused(source: Store) -> None:
    with pytest.raises(UsageError, match="this very store"):
        migrate(source, source)


def test_command_tells_what_is_where(source: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["migrate", "copy.duckdb", "--json"]) == 0
    out, err = capsys.readouterr()
    assert f'"sha256": "{compute_fingerprint(source).sha256}"' in out
    assert "5,520 candles of 2 symbols are in copy.duckdb, 5,520 of them copied now" in err
    assert run(["diff", "copy.duckdb"]) == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param(["migrate", "x.duckdb", "--data-path", "files"], "x.duckdb is one file", id="data-path"),
        pytest.param(["migrate", "ducklake:x"], "catalog is a PostgreSQL database", id="address"),
        pytest.param(["migrate", "."], "is a directory", id="folder"),
    ],
)
def test_target_that_can_be_none_is_a_wrong_use(
    settings: Settings, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    assert run(arguments) == 2
    assert sentence in capsys.readouterr().err


def test_a_year_at_a_time(settings: Settings, target: Store, make_candles: Callable[..., Any]) -> None:
    source = Store(settings.store)
    source.make()
    candles = make_candles("BTCUSDC", datetime(2023, 12, 31, 23), 120)
    with source.writing() as session, session.tables(incoming=candles):
        session.run("scratch/insert_scratch")
    told: list[int] = []
    migrate(source, target, lambda copied, _total: told.append(copied))
    assert told == [60, 120]
