"""Compaction and backups: what is in the store stays in it, whatever happens on the way."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest
from click.testing import CliRunner

from tests.support.processes import holding, run_threadx
from threadx_duck.audit.checks import run_checks
from threadx_duck.audit.fingerprints import compute_fingerprint
from threadx_duck.cli.main import threadx
from threadx_duck.config import Settings
from threadx_duck.errors import StoreError, StoreLockedError, UsageError
from threadx_duck.ingest import IngestionManager
from threadx_duck.storage.store import Store
from threadx_duck.upkeep import backup as backing_up
from threadx_duck.upkeep import compact as compacting
from threadx_duck.upkeep.backup import back_up
from threadx_duck.upkeep.compact import compact
from threadx_duck.upkeep.publish import publish

pytestmark = pytest.mark.slow

RANGE = ("2024-01-01", "2024-01-02")


@pytest.fixture
def store(settings: Settings) -> Store:
    with IngestionManager(settings) as manager:
        manager.update_assets_batch(["ETHUSDC", "BTCUSDC"], *RANGE)
        return manager.store


def _rows(path: Path, statement: str) -> list[Any]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(statement).fetchall()


def _objects(path: Path) -> list[Any]:
    return _rows(
        path,
        """
        select 'table', table_name, comment from duckdb_tables() where not internal
        union all select 'view', view_name, comment from duckdb_views() where not internal
        union all select 'column', table_name || column_name || data_type || is_nullable, comment
        from duckdb_columns() where not internal
        union all select 'macro', function_name || parameters::varchar, comment
        from duckdb_functions() where not internal
        order by all
        """,
    )


def _waste(path: Path) -> None:
    """Writes and deletes many rows, so that the file is mostly freed blocks; stores some out of order."""
    with duckdb.connect(str(path)) as connection:
        connection.execute("create table big as select random() as x from range(2_000_000)")
        connection.execute("checkpoint")
        connection.execute("drop table big")
        connection.execute("create table unsorted as select * from candles_1m order by hash(open_time)")
        connection.execute("delete from candles_1m")
        connection.execute("insert into candles_1m select * from unsorted")
        connection.execute("drop table unsorted")


def test_compact_makes_the_file_smaller_and_orders_it(store: Store) -> None:
    _waste(store.path)
    before, objects = compute_fingerprint(store), _objects(store.path)
    size = store.path.stat().st_size
    done = compact(store)
    assert done.bytes_before == size
    assert done.bytes_after == store.path.stat().st_size < size / 2
    assert compute_fingerprint(store) == before
    assert _objects(store.path) == objects
    stored = _rows(store.path, "select symbol, open_time from candles_1m")
    assert stored == sorted(stored)
    assert [finding.rows.num_rows for finding in run_checks(store)] == [0] * len(run_checks(store))
    assert [entry.name for entry in store.path.parent.iterdir()] == ["threadx.duckdb"]


def test_compact_keeps_the_storage_version_and_the_ledger(store: Store) -> None:
    requests = _rows(store.path, "from requests order by all")
    compact(store)
    assert _rows(store.path, "from requests order by all") == requests
    with store.reading() as session:
        assert str(session.run("store/file_state")[0][3]).startswith("v1.0.0")


def test_compact_keeps_what_other_people_put_into_the_file(store: Store) -> None:
    with duckdb.connect(str(store.path)) as connection:
        connection.execute('create schema "my notes"')
        connection.execute(
            'create table "my notes"."a ""quoted"" name" (x integer primary key, y varchar default \'z\')'
        )
        connection.execute('insert into "my notes"."a ""quoted"" name" values (1, null), (2, \'two\')')
        connection.execute("create view mine as select symbol, max(close) as top from candles_1d group by symbol")
        connection.execute("comment on view mine is 'the tops'")
        connection.execute("create macro twice(x) as 2 * x")
        connection.execute("create type mood as enum ('up', 'down')")
        connection.execute("create table moods (m mood)")
        connection.execute("insert into moods values ('up')")
    queries = (
        'from "my notes"."a ""quoted"" name" order by x',
        "from mine order by symbol",
        "select twice(21)",
        "from moods",
        "select comment from duckdb_views() where view_name = 'mine'",
    )
    before = [_rows(store.path, query) for query in queries]
    compact(store)
    assert [_rows(store.path, query) for query in queries] == before


def test_compact_of_a_store_left_with_a_log_keeps_its_commits(store: Store) -> None:
    with holding(store.path, "rw") as writer:
        writer.ask("insert into rejected_rows values ('BTCUSDC', null, 'x', 'unreadable', 1)")
        os.kill(writer.pid, 9)
    assert store.file.log.exists()
    compact(store)
    assert _rows(store.path, "select raw from rejected_rows") == [("x",)]
    assert not store.file.log.exists()


def test_compact_goes_on_under_a_reader_who_keeps_the_old_file(store: Store) -> None:
    with holding(store.path, "ro") as reader:
        compact(store)
        assert reader.ask("select count(*) from candles_1m") == "[(5520,)]"
    assert _rows(store.path, "select count(*) from candles_1m") == [(5520,)]


def test_compact_while_a_writer_holds_the_store_names_it(store: Store) -> None:
    with holding(store.path, "rw") as writer, pytest.raises(StoreLockedError, match=f"process {writer.pid}"):
        compact(store)


def test_compact_keeps_writers_out_until_the_swap(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare = compacting._require_same
    seen: list[str] = []

    def compare_and_try_to_write(*arguments: Any) -> None:
        ran = run_threadx("remove", "BTCUSDC", "--yes", folder=store.path.parent.parent)
        seen.append(ran.stderr)
        compare(*arguments)

    monkeypatch.setattr(compacting, "_require_same", compare_and_try_to_write)
    compact(store)
    (error,) = seen
    assert "is held by" in error
    assert f"(process {os.getpid()})" in error
    assert _rows(store.path, "select count(*) from candles_1m") == [(5520,)]


def test_compact_that_finds_a_difference_leaves_the_store(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    rewrite, before = compacting._rewrite, store.path.read_bytes()

    def lose_a_row(session: Any) -> None:
        rewrite(session)
        monkeypatch.setattr(type(session), "digest", lambda self, database, *_: (1, 1) if database == "old" else (0, 0))

    monkeypatch.setattr(compacting, "_rewrite", lose_a_row)
    with pytest.raises(StoreError, match=r"The rewritten file differs from .* in candles_1m"):
        compact(store)
    assert store.path.read_bytes() == before
    assert [entry.name for entry in store.path.parent.iterdir()] == ["threadx.duckdb"]


def test_compact_of_no_store_or_of_a_read_copy_is_refused(store: Store, settings: Settings, tmp_path: Path) -> None:
    publish(store, settings.store, tmp_path / "read.duckdb")
    with pytest.raises(StoreError, match="is a read copy of"):
        compact(Store(replace(settings.store, database=tmp_path / "read.duckdb")))
    with pytest.raises(StoreError, match="There is no store at"):
        compact(Store(replace(settings.store, database=tmp_path / "none.duckdb")))
    with duckdb.connect(str(tmp_path / "foreign.duckdb")) as connection:
        connection.execute("create table t (i integer)")
    with pytest.raises(StoreError, match="holds no candles of threadx_duck"):
        compact(Store(replace(settings.store, database=tmp_path / "foreign.duckdb")))


def test_compact_with_the_file_open_in_this_process_is_refused(store: Store) -> None:
    with duckdb.connect(str(store.path), read_only=True), pytest.raises(StoreError, match="in this very process"):
        compact(store)


def test_compact_on_the_command_line_tells_both_sizes(store: Store) -> None:
    ran = CliRunner().invoke(threadx, ["compact", "--json"])
    assert ran.exit_code == 0
    assert orjson.loads(ran.stdout) == {
        "bytes_before": orjson.loads(ran.stdout)["bytes_before"],
        "bytes_after": store.path.stat().st_size,
    }
    assert "nothing in it changed" in ran.stderr


def test_backup_is_the_store_byte_by_byte(store: Store, settings: Settings, tmp_path: Path) -> None:
    made = back_up(store, settings.store, tmp_path / "backups" / "b.duckdb")
    assert made.path.read_bytes() == store.path.read_bytes()
    assert made.bytes == store.path.stat().st_size
    assert compute_fingerprint(Store(replace(settings.store, database=made.path))) == compute_fingerprint(store)


def test_backup_into_a_folder_is_named_after_store_and_time(store: Store, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "backups").mkdir()
    made = back_up(store, settings.store, tmp_path / "backups")
    assert [made.path] == list((tmp_path / "backups").iterdir())
    assert made.path.name.startswith("threadx-20")
    assert made.path.suffix == ".duckdb"


def test_backup_replaces_nothing(store: Store, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "b.duckdb").write_text("last week's")
    with pytest.raises(UsageError, match="a backup replaces nothing"):
        back_up(store, settings.store, tmp_path / "b.duckdb")
    assert (tmp_path / "b.duckdb").read_text() == "last week's"


def test_backup_of_a_damaged_store_fails_and_leaves_nothing(store: Store, settings: Settings, tmp_path: Path) -> None:
    content = bytearray(store.path.read_bytes())
    place = content.find(b"BTCUSDC") if b"BTCUSDC" in content else len(content) // 2
    content[place : place + 64] = os.urandom(64)
    store.path.write_bytes(content)
    with pytest.raises(StoreError, match=r"is damaged: a block of it is not what was written\. Put a backup"):
        back_up(store, settings.store, tmp_path / "backups" / "b.duckdb")
    assert list((tmp_path / "backups").iterdir()) == []


def test_backup_that_reads_back_differently_fails_and_leaves_nothing(
    store: Store, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backing_up, "hash_file", lambda _: "something else")
    with pytest.raises(StoreError, match="is not what was written to it"):
        back_up(store, settings.store, tmp_path / "backups" / "b.duckdb")
    assert list((tmp_path / "backups").iterdir()) == []


def test_backup_put_in_place_as_its_help_says_restores_the_store(store: Store, tmp_path: Path) -> None:
    run = CliRunner()
    before = compute_fingerprint(store)
    assert run.invoke(threadx, ["backup", "b.duckdb"]).exit_code == 0
    run.invoke(threadx, ["remove", "BTCUSDC", "--yes"])
    assert compute_fingerprint(store) != before
    store.file.log.unlink(missing_ok=True)
    (tmp_path / "b.duckdb").replace(store.path)
    assert compute_fingerprint(store) == before
    assert run.invoke(threadx, ["check"]).exit_code == 0
