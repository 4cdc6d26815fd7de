"""What befalls a database file: each misfortune has its sentence, and what was committed stays."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from tests.support.processes import holding, run_python, run_threadx
from threadx_duck.config import Settings, StoreSettings
from threadx_duck.errors import QueryError, StoreError, StoreLockedError
from threadx_duck.ingest import IngestionManager
from threadx_duck.storage.failures import open_error, store_error
from threadx_duck.storage.store import Store
from threadx_duck.upkeep.backup import back_up
from threadx_duck.upkeep.publish import publish

pytestmark = pytest.mark.slow

DAY_ONE = ("2024-01-01", "2024-01-01")
DAY_TWO = ("2024-01-02", "2024-01-02")
SMALL_DISK = "size=6m"


@pytest.fixture
def store(settings: Settings) -> Store:
    with IngestionManager(settings) as manager:
        manager.update_assets_batch(["BTCUSDC"], *DAY_ONE)
        return manager.store


def _count(path: Path) -> int:
    with duckdb.connect(str(path), read_only=True) as connection:
        return int(connection.execute("select count(*) from candles_1m").fetchall()[0][0])


def _status(folder: Path) -> tuple[int, str]:
    ran = run_threadx("status", folder=folder)
    assert ran.stdout == ""
    return ran.returncode, ran.stderr


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b"", "is an empty file, not a store. Delete it, or name another.", id="empty"),
        pytest.param(b"words " * 2_000, "is not a DuckDB database. Name another file: --db", id="junk"),
        pytest.param(4_096, "is cut short: a part of it is missing. Put a backup in its place", id="first-block"),
        pytest.param(100, "is cut short", id="header"),
        pytest.param(-4_096, "is cut short", id="last-block"),
    ],
)
def test_file_that_is_no_store_is_told_and_left_alone(
    store: Store, tmp_path: Path, content: bytes | int, expected: str
) -> None:
    data = content if isinstance(content, bytes) else store.path.read_bytes()[:content]
    store.path.write_bytes(data)
    for session in (store.reading, store.writing):
        with pytest.raises(StoreError) as caught, session():
            pass
        assert expected in str(caught.value)
    assert store.path.read_bytes() == data
    code, line = _status(tmp_path)
    assert code == 1
    assert line.startswith(f"threadx: error: {store.path} is ")
    assert line.count("\n") == 1


def test_file_with_a_changed_block_is_told_as_damaged(store: Store) -> None:
    content = bytearray(store.path.read_bytes())
    for place in range(12_288 + 100, len(content), 262_144):
        content[place : place + 16] = os.urandom(16)
    store.path.write_bytes(content)
    with (
        pytest.raises(StoreError, match="is damaged: a block of it is not what was written"),
        store.reading() as session,
    ):
        session.query("read/candles_1m", symbol="BTCUSDC", start=None, end=None)


def test_file_of_a_newer_duckdb_is_told_with_the_way_out(store: Store, tmp_path: Path) -> None:
    content = bytearray(store.path.read_bytes())
    content[12:20] = struct.pack("<Q", 9_999)
    content[0:8] = struct.pack("<Q", _checksum(bytes(content[8:4_096])))
    store.path.write_bytes(content)
    code, line = _status(tmp_path)
    assert code == 1
    assert f"was written by a newer DuckDB than {duckdb.__version__}. Upgrade: pip install -U duckdb" in line


def _checksum(block: bytes) -> int:
    """DuckDB's checksum of a header block (src/common/checksum.cpp)."""
    result = 5381
    for (word,) in struct.iter_unpack("<Q", block):
        result ^= word * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
    return result


def test_log_left_by_a_killed_writer_is_read_and_then_applied(store: Store, settings: Settings) -> None:
    with holding(store.path, "rw") as writer:
        writer.ask("insert into rejected_rows values ('BTCUSDC', null, 'x', 'unreadable', 1)")
        os.kill(writer.pid, 9)
    assert store.file.log.exists()
    with duckdb.connect(str(store.path), read_only=True) as connection:
        assert connection.execute("select raw from rejected_rows").fetchall() == [("x",)]
    assert store.file.log.exists()
    with IngestionManager(settings) as manager:
        manager.update_assets_batch(["BTCUSDC"], *DAY_TWO)
    assert not store.file.log.exists()
    assert _count(store.path) == 2_760


def test_log_that_was_torn_in_a_commit_keeps_the_commits_before(store: Store) -> None:
    with holding(store.path, "rw") as writer:
        for number in range(2):
            writer.ask(f"insert into rejected_rows values ('BTCUSDC', null, 'x', 'unreadable', {number})")
        os.kill(writer.pid, 9)
    os.truncate(store.file.log, store.file.log.stat().st_size - 10)
    with store.writing() as session:
        session.checkpoint()
    with duckdb.connect(str(store.path), read_only=True) as connection:
        assert connection.execute("select request_id from rejected_rows").fetchall() == [(0,)]


def test_log_that_is_damaged_is_told(store: Store) -> None:
    with holding(store.path, "rw") as writer:
        for number in range(3):
            writer.ask(f"insert into rejected_rows values ('BTCUSDC', null, 'x', 'unreadable', {number})")
        os.kill(writer.pid, 9)
    content = bytearray(store.file.log.read_bytes())
    content[len(content) // 2] ^= 255
    store.file.log.write_bytes(content)
    with pytest.raises(StoreError, match=r"threadx\.duckdb\.wal does not fit .*, or is damaged"), store.reading():
        pass
    assert store.file.log.read_bytes() == content


def test_folder_in_place_of_the_file_is_told(store: Store, tmp_path: Path) -> None:
    store.path.unlink()
    store.path.mkdir()
    assert f"{store.path} is a folder. Name a file" in _status(tmp_path)[1]


def test_store_that_is_not_there_is_told_to_every_reader(settings: Settings) -> None:
    store = Store(settings.store)
    with pytest.raises(StoreError, match="There is no store at"):
        store.query_user_sql("select 1")
    with pytest.raises(StoreError, match="There is no store at"):
        store.info()
    with pytest.raises(StoreError, match="There is no store at"), store.closed():
        pass


def test_file_moved_while_it_is_written_is_told_and_nothing_is_lost(store: Store, settings: Settings) -> None:
    away = store.path.with_name("moved.duckdb")

    def move_away_and_write() -> None:
        with store.writing() as session:
            store.path.rename(away)
            session.run("store/set_published", published_at=None, published_from=None)

    with pytest.raises(StoreError, match="was moved, deleted or replaced while it was open here"):
        move_away_and_write()
    assert _count(away) == 1_320
    away.rename(store.path)
    with IngestionManager(settings) as manager:
        assert manager.update_assets_batch(["BTCUSDC"], *DAY_TWO)["BTCUSDC"].status == "ok"
    assert _count(store.path) == 2_760


def test_file_replaced_between_found_and_locked_is_opened_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    connect, replaced = duckdb.connect, []  # type: ignore[var-annotated]

    def connect_after_a_swap(path: str, **options: object) -> duckdb.DuckDBPyConnection:
        if not replaced:
            copy = store.path.with_name("copy")
            shutil.copy(store.path, copy)
            copy.replace(store.path)
            replaced.append(path)
        return connect(path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(duckdb, "connect", connect_after_a_swap)
    with store.writing() as session:
        session.run("store/store_info")
    assert replaced


@pytest.mark.parametrize("mode", ["ro", "rw"])
def test_file_held_too_long_is_one_line_with_program_and_process(
    settings: Settings, store: Store, tmp_path: Path, mode: str
) -> None:
    with holding(store.path, mode) as holder:
        ran = run_threadx("ingest", "BTCUSDC", "--start", "2024-01-02", "--end", "2024-01-02", folder=tmp_path)
    assert ran.returncode == 1
    (waiting, error) = ran.stderr.splitlines()
    assert waiting.startswith(f"note: {store.path} is held by ")
    assert waiting.endswith("Waiting for up to 0.2 seconds.")
    assert error.startswith(f"threadx: error: {store.path} is held by ")
    assert f"(process {holder.pid})" in error
    assert "Gave up after 0.2 seconds" in error
    assert "the same command continues" in error
    assert _count(store.path) == 1_320


def test_file_open_here_in_another_mode_is_told(store: Store) -> None:
    with (
        duckdb.connect(str(store.path), read_only=True),
        pytest.raises(StoreError, match="open in this very process in another mode"),
        store.writing(),
    ):
        pass


def test_failed_commit_is_told_and_not_hidden_by_the_rollback(store: Store) -> None:
    with (
        pytest.raises(StoreError, match=r"sql/store/set_published\.sql"),
        store.writing() as session,
        session.transaction(),
    ):
        session.run("store/set_published", published_at="not a time", published_from=None)
    with pytest.raises(StoreError, match="Put a backup"), store.writing() as session, session.transaction():
        raise duckdb.IOException("Could not read enough bytes from file")
    assert _count(store.path) == 1_320


def test_error_that_is_not_about_the_file_names_the_statement(store: Store) -> None:
    with pytest.raises(StoreError, match=r"^sql/read/candles_1m\.sql: "), store.reading() as session:
        session.query("read/candles_1m", symbol="X")
    assert store_error(store.path, ValueError("anything else")) is None
    assert (
        str(open_error(store.path, OSError(5, "Input/output error"))) == f"Cannot use {store.path}: Input/output error"
    )


def test_query_that_needs_more_memory_than_allowed_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("threadx_duck.storage.session._READ_ONLY_BYTES", 20_000_000)
    with pytest.raises(QueryError, match="Out of Memory"):
        store.query_user_sql("select count(distinct hash(range)) from range(20_000_000)")


def test_query_whose_result_is_too_large_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("threadx_duck.storage.session._READ_ONLY_BYTES", 1_000_000)
    with pytest.raises(QueryError, match="The result is larger than"):
        store.query_user_sql("from range(1_000_000_000_000)")


# A full disk ------------------------------------------------------------------------------------------------------

_INGEST_WITH_LIMIT = """
import resource, signal, sys
from threadx_duck.cli.main import run
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
sys.exit(run(sys.argv[2:]))
"""


def test_ingest_over_a_size_limit_keeps_what_was_committed(store: Store, tmp_path: Path) -> None:
    ran = run_python(
        _INGEST_WITH_LIMIT,
        "100000",
        "ingest",
        "BTCUSDC",
        "ETHUSDC",
        "--start",
        "2024-01-01",
        folder=tmp_path,
    )
    assert ran.returncode == 1
    assert "threadx: error: The disk is full: " in ran.stderr
    assert "the same command continues from there" in ran.stderr
    assert _count(store.path) == 1_320
    again = run_threadx("ingest", "BTCUSDC", "ETHUSDC", "--start", "2024-01-01", folder=tmp_path)
    assert again.returncode == 0
    assert _count(store.path) == 2 * 4_200
    assert run_threadx("check", folder=tmp_path).returncode == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", SMALL_DISK, "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no small disk: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def _fill(folder: Path, left: int) -> Path:
    ballast = folder / "ballast"
    ballast.write_bytes(bytes(max(0, shutil.disk_usage(folder).free - left)))
    return ballast


def test_full_disk_in_the_middle_of_an_ingest_loses_nothing(
    store: Store, settings: Settings, small_disk: Path, tmp_path: Path
) -> None:
    path = small_disk / "threadx.duckdb"
    shutil.copy(store.path, path)
    ballast = _fill(small_disk, 300_000)
    arguments = ("--db", str(path), "ingest", "BTCUSDC", "ETHUSDC", "--start", "2024-01-01")
    ran = run_threadx(*arguments, folder=tmp_path)
    assert ran.returncode == 1
    assert f"threadx: error: The disk is full: {path} cannot grow." in ran.stderr
    assert _count(path) == 1_320
    ballast.unlink()
    assert run_threadx(*arguments, folder=tmp_path).returncode == 0
    assert _count(path) == 2 * 4_200


@pytest.mark.parametrize("command", ["publish", "backup"])
def test_full_disk_leaves_no_half_copy(store: Store, settings: Settings, small_disk: Path, command: str) -> None:
    target = small_disk / "copy.duckdb"
    _fill(small_disk, 300_000)
    make = publish if command == "publish" else back_up
    with pytest.raises(StoreError, match=f"The disk is full: {target} cannot grow"):
        make(store, settings.store, target)
    assert [entry.name for entry in small_disk.iterdir()] == ["ballast"]


def test_full_disk_leaves_the_store_uncompacted(
    store: Store, settings: Settings, small_disk: Path, tmp_path: Path
) -> None:
    path = small_disk / "threadx.duckdb"
    shutil.copy(store.path, path)
    before = path.read_bytes()
    _fill(small_disk, 300_000)
    ran = run_threadx("--db", str(path), "compact", folder=tmp_path)
    assert ran.returncode == 1
    assert "threadx: error: The disk is full" in ran.stderr
    assert path.read_bytes() == before
    assert sorted(entry.name for entry in small_disk.iterdir()) == ["ballast", "threadx.duckdb"]


# Permissions ------------------------------------------------------------------------------------------------------

# Everything is imported and read before the rights are dropped: the interpreter may lie where nobody may look.
_AS_NOBODY = """
import encodings.utf_8_sig, os, sys
from importlib import import_module
from threadx_duck import ingest
from threadx_duck.cli.commands import COMMANDS
from threadx_duck.cli.lazy import module_of
from threadx_duck.cli.main import run
from threadx_duck.download import run as download
from threadx_duck.storage import sqlfiles
for command in COMMANDS:
    import_module("threadx_duck.cli.commands." + module_of(command))
import click, rich.table, rich.console, tenacity, pyarrow.csv, pyarrow.compute
for folder in filter(lambda entry: entry.is_dir(), sqlfiles.sql_root().iterdir()):
    sqlfiles.list_sql(folder.name)
if os.geteuid() == 0:
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
sys.exit(run(sys.argv[1:]))
"""


@pytest.fixture
def shared_folder(store: Store) -> Iterator[Path]:
    """A folder that everybody may enter, with a copy of the store; pytest's own is closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="threadx-"))
    folder.chmod(0o755)
    shutil.copy(store.path, folder / "threadx.duckdb")
    (folder / "paths.toml").write_text(
        f'[data.store]\ndatabase = "threadx.duckdb"\n[logging]\ndirectory = "{folder}/logs"\n'
    )
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def _as_nobody(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_python(_AS_NOBODY, *arguments, folder=folder)


def test_store_that_may_only_be_read_is_read(shared_folder: Path) -> None:
    (shared_folder / "threadx.duckdb").chmod(0o444)
    shared_folder.chmod(0o555)
    ran = _as_nobody(shared_folder, "status", "--json")
    assert (ran.returncode, ran.stderr.count("error")) == (0, 0), ran.stderr
    assert "BTCUSDC" in ran.stdout


@pytest.mark.parametrize(
    ("file_mode", "folder_mode"),
    [
        pytest.param(0o444, 0o777, id="file"),
        pytest.param(0o666, 0o555, id="folder"),
    ],
)
def test_store_that_may_not_be_written_is_told(shared_folder: Path, file_mode: int, folder_mode: int) -> None:
    (shared_folder / "threadx.duckdb").chmod(file_mode)
    shared_folder.chmod(folder_mode)
    ran = _as_nobody(shared_folder, "remove", "BTCUSDC", "--yes")
    assert ran.returncode == 1
    assert ran.stderr.startswith("threadx: error: Permission denied: ")
    assert ran.stderr.count("\n") == 1
    assert _count(shared_folder / "threadx.duckdb") == 1_320


def test_store_that_may_not_be_read_is_told(shared_folder: Path) -> None:
    (shared_folder / "threadx.duckdb").chmod(0o000)
    ran = _as_nobody(shared_folder, "status")
    assert ran.returncode == 1
    assert ran.stderr.startswith("threadx: error: Permission denied: ")


def test_folder_that_may_not_be_entered_is_told(shared_folder: Path) -> None:
    closed = shared_folder / "closed"
    closed.mkdir(mode=0o700)
    ran = _as_nobody(shared_folder, "--db", str(closed / "x.duckdb"), "status")
    assert ran.returncode == 1
    assert ran.stderr.startswith("threadx: error: Permission denied: ")


def test_folder_that_may_not_be_written_gets_no_store_and_no_copy(shared_folder: Path) -> None:
    for arguments in (("publish", "read.duckdb"), ("backup", "b.duckdb")):
        ran = _as_nobody(shared_folder, *arguments)
        assert ran.returncode == 1
        assert ran.stderr.startswith("threadx: error: Permission denied: ")


def test_file_system_mounted_read_only_is_told(small_disk: Path, store: Store, tmp_path: Path) -> None:
    shutil.copy(store.path, small_disk / "threadx.duckdb")
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    ran = run_threadx("--db", str(small_disk / "threadx.duckdb"), "remove", "BTCUSDC", "--yes", folder=tmp_path)
    assert ran.returncode == 1
    assert "lies on a file system that is mounted read-only" in ran.stderr
    ran = run_threadx("--db", str(small_disk / "threadx.duckdb"), "status", folder=tmp_path)
    assert ran.returncode == 0


def test_folder_in_the_way_of_the_stores_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    store = Store(StoreSettings(database=tmp_path / "data" / "x.duckdb"))
    with pytest.raises(StoreError, match="Cannot make the folder"), store.writing():
        pass
    assert sys.platform != "win32"
    assert not isinstance(store_error(store.path, ValueError("Permission denied")), StoreLockedError)
