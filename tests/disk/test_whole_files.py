"""Files that a command writes: whole or not at all, in the place of an earlier one, never over a database."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from threadx_duck.cli.main import run
from threadx_duck.config import StoreSettings
from threadx_duck.disk.whole_files import whole_file, write_whole
from threadx_duck.errors import UsageError
from threadx_duck.storage.store import Store

COMMANDS: dict[str, tuple[str, ...]] = {
    "candles": ("candles", "BTCUSDC", "1m"),
    "query": ("query", "select 42 as answer"),
    "chart": ("chart", "BTCUSDC", "1m", "--no-open"),
    "coverage-map": ("coverage-map", "--no-open"),
}


@pytest.fixture
def store(store_path: Path, fill: Callable[[Path], None]) -> Path:
    fill(store_path)
    return store_path


@pytest.fixture
def fill(make_candles: Any) -> Callable[[Path], None]:
    """Makes a store with three candles."""

    def make(path: Path) -> None:
        with Store(StoreSettings(database=path)).writing() as session, session.tables(incoming=make_candles()):
            session.run("scratch/insert_scratch")

    return make


def _targets(store: Path) -> dict[str, Path]:
    """The store, a copy of it under another name, links to it, its log, and a database that is no store."""
    folder = store.parent
    shutil.copy(store, folder / "read.csv")
    (folder / "link.csv").symlink_to(store)
    (folder / "hard.csv").hardlink_to(store)
    (folder / "chain.csv").symlink_to(folder / "link.csv")
    Path(f"{store}.wal").write_bytes(b"not applied yet")
    with duckdb.connect(str(folder / "other.csv")) as connection:
        connection.execute("create table mine as select 1 as x")
    return {
        "the store": store,
        "a copy": folder / "read.csv",
        "a link": folder / "link.csv",
        "a hard link": folder / "hard.csv",
        "a link to a link": folder / "chain.csv",
        "another database": folder / "other.csv",
        "the log": Path(f"{store}.wal"),
    }


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_writes_over_a_database(store: Path, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    for what, target in _targets(store).items():
        before, others = target.read_bytes(), sorted(store.parent.iterdir())
        assert run([*COMMANDS[command], "-o", str(target)]) == 2, what
        kind = "the log of a DuckDB database" if what == "the log" else "a DuckDB database"
        assert capsys.readouterr().err == (
            f"threadx: error: {target} is {kind}; it is not written over. Name another file.\n"
        )
        assert target.read_bytes() == before, what
        assert sorted(store.parent.iterdir()) == others, what


def test_an_export_never_replaces_a_database(store: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "BTCUSDC-1m.parquet").symlink_to(store)
    before = store.read_bytes()
    assert run(["export", "out"]) == 2
    assert "out/BTCUSDC-1m.parquet is a DuckDB database; it is not written over." in capsys.readouterr().err
    assert (tmp_path / "out" / "BTCUSDC-1m.parquet").is_symlink()
    assert store.read_bytes() == before


def test_a_file_that_is_open_here_is_not_replaced(tmp_path: Path) -> None:
    with (
        duckdb.connect(str(tmp_path / "x.duckdb")),
        pytest.raises(UsageError, match=r"x\.duckdb is open in this very process; it is not written over"),
    ):
        write_whole(tmp_path / "x.duckdb", b"new")


@pytest.mark.parametrize("command", COMMANDS)
def test_the_earlier_files_mode_stays_and_a_link_stays_a_link(store: Path, tmp_path: Path, command: str) -> None:
    real, link = tmp_path / "real.csv", tmp_path / "link.csv"
    real.write_text("earlier")
    real.chmod(0o640)
    link.symlink_to(real)
    assert run([*COMMANDS[command], "-o", str(link)]) == 0
    assert link.is_symlink()
    assert real.read_text() != "earlier"
    assert real.stat().st_mode & 0o777 == 0o640


def test_a_new_file_has_the_mode_that_the_system_gives(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    write_whole(tmp_path / "made", b"")
    assert (tmp_path / "made").stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="only the superuser gives files away")
def test_the_owner_stays(tmp_path: Path) -> None:
    (tmp_path / "theirs.csv").touch()
    os.chown(tmp_path / "theirs.csv", 1234, 4321)
    write_whole(tmp_path / "theirs.csv", b"new")
    found = (tmp_path / "theirs.csv").stat()
    assert (found.st_uid, found.st_gid) == (1234, 4321)


_WITH_LIMIT = """
import resource, signal, sys
from threadx_duck.cli.main import run
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000,) * 2)
sys.exit(run(sys.argv[1:]))
"""


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX stand for a full disk")
@pytest.mark.parametrize("form", ["csv", "json", "parquet", "arrow"])
def test_a_full_disk_leaves_the_earlier_file_and_nothing_else(store: Path, tmp_path: Path, form: str) -> None:
    target = tmp_path / "results" / "rows"
    target.parent.mkdir()
    target.write_text("a night's work")
    statement = "select range, hash(range) as h from range(200_000)"
    ended = subprocess.run(
        [sys.executable, "-c", _WITH_LIMIT, "query", statement, "--format", form, "-o", str(target)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (
        2,
        f"threadx: error: Cannot write {target}: {os.strerror(errno.EFBIG)}.\n",
    )
    assert target.read_text() == "a night's work"
    assert list(target.parent.iterdir()) == [target]


def test_what_is_no_file_is_written_to(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["query", "select 1", "-o", os.devnull]) == 0
    assert not Path(os.devnull).is_file()


def test_links_in_a_circle_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str], store: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert run(["query", "select 1", "-o", str(tmp_path / "a")]) != 0
    assert capsys.readouterr().err.count("\n") == 1


def test_a_database_that_came_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "late.csv"
    with pytest.raises(UsageError, match="is a DuckDB database"), whole_file(target):
        duckdb.connect(str(target)).close()
    assert [path.name for path in tmp_path.iterdir()] == ["late.csv"]
