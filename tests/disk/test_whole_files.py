"""Files that a command writes: whole or not at all, in the place of an earlier one, never over a database."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.conftest import Invoke
from tests.support.processes import PATIENCE
from threadx_duck.cli.main import run
from threadx_duck.config import Settings, StoreSettings
from threadx_duck.disk.whole_files import whole_file, write_whole
from threadx_duck.errors import UsageError
from threadx_duck.storage.store import Store

pytestmark = pytest.mark.slow

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
        kind = "where threadx.duckdb has its log" if what == "the log" else "a DuckDB database"
        assert capsys.readouterr().err == (
            f"threadx: error: {target} is {kind}; it is not written over. Name another file.\n"
        )
        assert target.read_bytes() == before, what
        assert sorted(store.parent.iterdir()) == others, what


def test_an_export_never_replaces_a_database(store: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "BTCUSDC-1m.parquet").symlink_to(store)
    before = store.read_bytes()
    assert run(["export", "-o", "out"]) == 2
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
    ending = "csv" if command in {"candles", "query"} else "html"
    real, link = tmp_path / f"real.{ending}", tmp_path / f"link.{ending}"
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


# What a command needs itself, and what is no file


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("place", "what"),
    [
        ("paths.toml", "the settings file"),
        ("settings.link", "the settings file"),
        ("settings.hard", "the settings file"),
        ("data/../paths.toml", "the settings file"),
        ("data/threadx.duckdb.wal", "where threadx.duckdb has its log"),
        ("other.duckdb.wal", "where other.duckdb has its log"),
        ("logs/data_ingestion.log", "a log file"),
        ("read.duckdb", "the place of the read copy"),
    ],
)
def test_no_command_writes_over_what_it_works_with(
    store: Path, settings: Settings, tmp_path: Path, invoke: Invoke, command: str, place: str, what: str
) -> None:
    file = tmp_path / "paths.toml"
    file.write_text(file.read_text().replace("[data.store]\n", '[data.store]\nread_copy = "read.duckdb"\n'))
    (tmp_path / "settings.link").symlink_to(file)
    (tmp_path / "settings.hard").hardlink_to(file)
    (tmp_path / "logs").mkdir()
    duckdb.connect(str(tmp_path / "other.duckdb")).close()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    ran = invoke(*COMMANDS[command], "-o", place)
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert ran.stderr == f"threadx: error: {place} is {what}; it is not written over. Name another file.\n"
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_the_place_of_a_store_that_is_not_there_yet_stays_free(settings: Settings, invoke: Invoke) -> None:
    for place, what in (("data/threadx.duckdb", "store"), ("data/threadx.duckdb.wal", "store's log")):
        Path("data").mkdir(exist_ok=True)
        ran = invoke("query", "select 1", "-o", place)
        assert ran.exit_code == 2
        assert f"{place} is the place of the {what}; it is not written over." in ran.stderr
        assert list(Path("data").iterdir()) == []


@pytest.mark.parametrize(
    "command",
    [("publish",), ("backup",), ("migrate",), ("--db", "data/threadx.duckdb.wal", "ingest", "BTCUSDC")],
    ids=lambda command: " ".join(command[::2]),
)
def test_no_store_or_copy_is_made_where_a_database_has_its_log(
    store: Path, settings: Settings, invoke: Invoke, command: tuple[str, ...]
) -> None:
    log = Path(f"{store}.wal")
    ran = invoke(*command) if "--db" in command else invoke(*command, log)
    assert ran.exit_code == 2
    assert ran.stderr == (
        f"threadx: error: {log} is where threadx.duckdb has its log; it is not written over. Name another file.\n"
    )
    assert not log.exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_that_somebody_made_read_only_stays(store: Path, invoke: Invoke, tmp_path: Path, command: str) -> None:
    target = tmp_path / "kept.csv"
    target.write_text("kept")
    target.chmod(0o444)
    ran = invoke(*COMMANDS[command], "-o", target)
    assert ran.exit_code == 2
    assert ran.stderr == f"threadx: error: {target} is read-only; it is not written over. Name another file.\n"
    assert target.read_text() == "kept"


@pytest.mark.parametrize("command", COMMANDS)
def test_what_can_hold_no_result_is_told_in_a_line(store: Path, invoke: Invoke, tmp_path: Path, command: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    told = {
        "folder": "'folder' is a directory.",
        "/dev/full": f"Cannot write /dev/full: {os.strerror(errno.ENOSPC)}.",
        "a": f"{os.strerror(errno.ELOOP)}.",
    }
    before = sorted(tmp_path.rglob("*"))
    for target, expected in told.items():
        ran = invoke(*COMMANDS[command], "-o", target)
        assert ran.exit_code in {1, 2}, target
        assert ran.stderr.count("\n") == 1, ran.stderr
        assert expected in ran.stderr
        assert "Wrote" not in ran.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_a_result_makes_no_folder_for_itself(store: Path, invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for target, code in (("none/x.csv", errno.ENOENT), ("file/x.csv", errno.ENOTDIR)):
        ran = invoke("query", "select 1", "-o", target)
        assert (ran.exit_code, ran.stderr) == (
            2,
            f"threadx: error: Cannot write {target}: {os.strerror(code)}.\n",
        )
    assert not (tmp_path / "none").exists()


def test_a_page_does_not_go_to_a_file_called_dash(store: Path, invoke: Invoke, tmp_path: Path) -> None:
    for command in ("chart", "coverage-map"):
        ran = invoke(*COMMANDS[command], "-o", "-")
        assert ran.exit_code == 2
        assert "This command writes a page: name its file" in ran.stderr
    assert not (tmp_path / "-").exists()


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_pipe_a_device_and_stdout_get_the_whole_result(
    store: Path, invoke: Invoke, tmp_path: Path, command: str
) -> None:
    assert invoke(*COMMANDS[command], "-o", "whole").exit_code == 0
    expected = Path("whole").read_bytes()
    assert expected

    os.mkfifo("pipe")
    with subprocess.Popen(["bash", "-c", "cat pipe > got"]) as reader:
        assert invoke(*COMMANDS[command], "-o", "pipe").exit_code == 0
        assert reader.wait(timeout=PATIENCE) == 0
    assert Path("got").read_bytes() == expected
    assert Path("pipe").is_fifo()

    # As a shell does it: | cat, > file, >> file, >(cat).
    line = shlex.join([sys.executable, "-m", "threadx_duck", *COMMANDS[command], "--format", "csv"])
    if command not in {"candles", "query"}:
        line = line.removesuffix(" --format csv")
    Path("added").write_bytes(b"before\n")
    for script, result in (
        (f"{line} -o /dev/stdout | cat > got", expected),
        (f"{line} -o /dev/stdout > got", expected),
        (f"{line} -o /dev/stdout >> added; cp added got", b"before\n" + expected),
        (f"cat pipe > got & {line} -o /dev/fd/9 9> pipe; wait $!", expected),
    ):
        ended = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False, timeout=PATIENCE)
        assert (ended.returncode, "error" in ended.stderr) == (0, False), (script, ended.stderr)
        assert Path("got").read_bytes() == result, script
    assert invoke(*COMMANDS[command], "-o", os.devnull).exit_code == 0
    assert not Path(os.devnull).is_file()


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
@pytest.mark.parametrize(
    "command",
    [("status",), ("doctor",), ("ingest", "BTCUSDC"), ("compact",), ("publish", "x"), ("backup", "x"), ("query", "1")],
    ids=lambda command: command[0],
)
def test_a_pipe_in_the_place_of_the_store_is_not_waited_for(
    settings: Settings, invoke: Invoke, command: tuple[str, ...]
) -> None:
    os.mkfifo("pipe")
    ran = invoke("--db", "pipe", *command)
    assert ran.exit_code == (3 if command == ("doctor",) else 1)
    assert "pipe is no ordinary file, but a pipe or a device. Name another" in ran.stdout + ran.stderr
    assert Path("pipe").is_fifo()


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
def test_a_pipe_is_no_place_for_a_copy(store: Path, invoke: Invoke, tmp_path: Path) -> None:
    os.mkfifo("pipe")
    told = {"publish": "no ordinary file", "migrate": "no ordinary file", "backup": "is there already"}
    for command, expected in told.items():
        ran = invoke(command, "pipe")
        assert ran.exit_code in {1, 2}
        assert ran.stderr.count("\n") == 1
        assert expected in ran.stderr
    assert Path("pipe").is_fifo()


def test_a_database_that_came_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "late.csv"
    with pytest.raises(UsageError, match="is a DuckDB database"), whole_file(target):
        duckdb.connect(str(target)).close()
    assert [path.name for path in tmp_path.iterdir()] == ["late.csv"]
