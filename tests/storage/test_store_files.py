"""The files around the store: links, owners and modes, temporaries of killed processes, full disks, other clocks."""

from __future__ import annotations

import errno
import gzip
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.conftest import Invoke
from tests.support.make_stores import STORES
from tests.support.processes import holding, run_threadx
from threadx_duck.config import Settings, StoreSettings
from threadx_duck.disk import posix as storefile
from threadx_duck.disk import temporaries
from threadx_duck.disk.temporaries import leftovers, temporary_beside
from threadx_duck.errors import StoreLockedError
from threadx_duck.storage.failures import store_error
from threadx_duck.storage.schema import SCHEMA_VERSION
from threadx_duck.storage.store import Store
from threadx_duck.upkeep import compact as compacting
from threadx_duck.upkeep import publish as publishing

pytestmark = pytest.mark.slow

CANDLES = 1_320
needs_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may give files away")


@pytest.fixture
def store(settings: Settings, store_path: Path) -> Path:
    """A store with a day of candles, without freed blocks."""
    store_path.parent.mkdir(parents=True)
    store_path.write_bytes(gzip.decompress((STORES / f"schema-{SCHEMA_VERSION}-store.duckdb.gz").read_bytes()))
    return store_path


def _ask(path: Path, statement: str) -> list[Any]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(statement).fetchall()


def _count(path: Path) -> int:
    return int(_ask(path, "select count(*) from candles_1m")[0][0])


def _change(path: Path, statements: str) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute(statements)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _waste(path: Path) -> None:
    _change(
        path, "create table big as select random() as x from range(200_000); checkpoint; drop table big; checkpoint"
    )


# Links


@pytest.fixture
def link(store: Path, tmp_path: Path) -> Path:
    """A link to the store that lies in another folder."""
    path = tmp_path / "links" / "current.duckdb"
    path.parent.mkdir()
    path.symlink_to(store)
    return path


def test_compact_through_a_link_rewrites_the_file_that_it_leads_to(store: Path, link: Path, invoke: Invoke) -> None:
    _waste(store)
    before = store.stat()
    ran = invoke("--db", link, "compact")
    assert ran.exit_code == 0, ran.stderr
    assert link.is_symlink()
    assert store.stat().st_ino != before.st_ino
    assert store.stat().st_size < before.st_size
    assert (_names(link.parent), _names(store.parent)) == ([link.name], [store.name])
    assert _count(store) == _count(link) == CANDLES


def test_compact_through_a_link_takes_the_commits_of_a_killed_writer_along(
    store: Path, link: Path, invoke: Invoke
) -> None:
    with holding(link, "rw") as writer:
        writer.ask("insert into rejected_rows values ('BTCUSDC', null, 'x', 'unreadable', 1)")
        os.kill(writer.pid, 9)
    assert store.with_name(f"{store.name}.wal").exists()
    assert invoke("--db", link, "compact").exit_code == 0
    assert _names(store.parent) == [store.name]
    assert _ask(store, "select raw from rejected_rows") == [("x",)]


def test_publish_through_a_link_renews_the_linked_copy(store: Path, tmp_path: Path, invoke: Invoke) -> None:
    copy, link = tmp_path / "srv" / "read.duckdb", tmp_path / "read.duckdb"
    assert invoke("publish", copy).exit_code == 0
    link.symlink_to(copy)
    _change(store, "delete from candles_1m where open_time >= '2024-01-01 12:00'")
    assert invoke("publish", link).exit_code == 0
    assert link.is_symlink()
    assert _count(copy) == 600
    assert _names(copy.parent) == [copy.name]


def test_publish_and_migrate_to_a_link_that_leads_nowhere_yet_fill_its_end(
    store: Path, tmp_path: Path, invoke: Invoke
) -> None:
    for command in ("publish", "migrate", "backup"):
        link, end = tmp_path / f"{command}.link.duckdb", tmp_path / command / "end.duckdb"
        link.symlink_to(end)
        ran = invoke(command, link)
        assert ran.exit_code == 0, ran.stderr
        assert link.is_symlink()
        assert _count(end) == CANDLES
        assert _names(end.parent) == ["end.duckdb"]


def test_backup_through_a_link_is_of_the_whole_store(store: Path, link: Path, tmp_path: Path, invoke: Invoke) -> None:
    with holding(link, "rw") as writer:
        writer.ask("insert into rejected_rows values ('BTCUSDC', null, 'x', 'unreadable', 1)")
        os.kill(writer.pid, 9)
    assert invoke("--db", link, "backup", tmp_path / "b.duckdb").exit_code == 0
    assert _ask(tmp_path / "b.duckdb", "select raw from rejected_rows") == [("x",)]


def test_export_through_a_link_renews_the_linked_file(store: Path, tmp_path: Path, invoke: Invoke) -> None:
    out, end = tmp_path / "out", tmp_path / "end.csv"
    assert invoke("export", "--format", "csv", "-o", out).exit_code == 0
    (made,) = out.rglob("*.csv")
    shutil.move(made, end)
    made.symlink_to(end)
    _change(store, "delete from candles_1m where open_time >= '2024-01-01 12:00'")
    assert invoke("export", "--format", "csv", "-o", out).exit_code == 0
    assert made.is_symlink()
    assert len(end.read_text().splitlines()) == 601


def test_link_that_leads_to_itself_is_told(tmp_path: Path, settings: Settings, invoke: Invoke) -> None:
    (tmp_path / "loop.duckdb").symlink_to("loop.duckdb")
    ran = invoke("--db", tmp_path / "loop.duckdb", "status")
    assert ran.exit_code == 1
    assert ran.stderr.count("\n") == 1
    assert "loop.duckdb" in ran.stderr


# Owners and modes


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o644])
def test_compact_keeps_the_mode(store: Path, invoke: Invoke, mode: int) -> None:
    store.chmod(mode)
    assert invoke("compact").exit_code == 0
    assert _mode(store) == mode


@needs_root
def test_compact_and_publish_keep_owner_and_group(store: Path, tmp_path: Path, invoke: Invoke) -> None:
    copy = tmp_path / "read.duckdb"
    assert invoke("publish", copy).exit_code == 0
    for path, owner, group, mode in ((store, 1234, 4321, 0o600), (copy, 2345, 5432, 0o640)):
        os.chown(path, owner, group)
        path.chmod(mode)
    assert invoke("compact").exit_code == 0
    assert invoke("publish", copy).exit_code == 0
    for path, owner, group, mode in ((store, 1234, 4321, 0o600), (copy, 2345, 5432, 0o640)):
        assert (path.stat().st_uid, path.stat().st_gid, _mode(path)) == (owner, group, mode)


@pytest.mark.parametrize("command", ["backup", "publish"])
def test_new_copy_has_the_mode_of_the_store(store: Path, tmp_path: Path, invoke: Invoke, command: str) -> None:
    store.chmod(0o600)
    assert invoke(command, tmp_path / "copy.duckdb").exit_code == 0
    assert _mode(tmp_path / "copy.duckdb") == 0o600


def test_nobody_else_can_look_into_a_store_while_it_is_rewritten(
    store: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.chmod(0o600)
    seen: list[int] = []
    compare = compacting._require_same

    def look(*arguments: Any) -> None:
        seen.extend(_mode(path) for path in store.parent.iterdir() if path != store)
        compare(*arguments)

    monkeypatch.setattr(compacting, "_require_same", look)
    assert invoke("compact").exit_code == 0
    assert seen == [0o700]


def test_compact_of_somebody_elses_store_is_refused_before_any_work(
    store: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4_321)
    monkeypatch.setattr(compacting, "_rewrite", lambda _: pytest.fail("it was rewritten"))
    ran = invoke("compact")
    assert ran.exit_code == 1
    assert f"belongs to user {store.stat().st_uid}, and rewritten here it would be yours." in ran.stderr


def test_group_that_cannot_be_given_gets_no_more_than_everybody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("old")
    old.chmod(0o664)
    new.write_text("new")

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "chown", refuse)
    before = os.stat_result((old.stat().st_mode, 0, 0, 1, old.stat().st_uid + 1, old.stat().st_gid + 1, 3, 0, 0, 0))
    storefile._take_owner(new, before)
    assert _mode(new) == 0o644


# Temporaries


def test_two_publications_at_once_leave_each_others_files_alone(
    store: Path, tmp_path: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_seen_from_here(*_: object) -> None:
        raise ProcessLookupError

    # As in two containers, where no process of the other is known.
    monkeypatch.setattr(os, "kill", not_seen_from_here)
    copy, copy_stream = tmp_path / "read.duckdb", publishing.copy_stream
    within: list[int] = []

    def copy_while_another_publishes(*arguments: Any) -> Any:
        done = copy_stream(*arguments)
        monkeypatch.setattr(publishing, "copy_stream", copy_stream)
        within.append(run_threadx("publish", str(copy), folder=tmp_path).returncode)
        with temporary_beside(copy):
            assert len(leftovers(tmp_path)) == 0
        return done

    monkeypatch.setattr(publishing, "copy_stream", copy_while_another_publishes)
    ran = invoke("publish", copy)
    assert (ran.exit_code, within) == (0, [0]), ran.stderr
    assert _count(copy) == CANDLES
    assert not [name for name in _names(tmp_path) if ".tmp-" in name]


def _remove(copy: Path) -> None:
    copy.unlink()


def _empty(copy: Path) -> None:
    copy.unlink()
    Store(StoreSettings(database=copy)).make()


def _lose_a_row(copy: Path) -> None:
    _change(copy, "delete from candles_1m where open_time = (select max(open_time) from candles_1m)")


@pytest.mark.parametrize(
    ("befalls", "expected"),
    [
        (_remove, "The copy for {copy} was removed while it was made."),
        (_empty, "The copy for {copy} has 0 rows of candles_1m, the store 1,320; it was dropped."),
        (_lose_a_row, "The copy for {copy} has 1,319 rows of candles_1m, the store 1,320; it was dropped."),
    ],
)
def test_copy_that_is_not_the_store_is_never_published(
    store: Path,
    tmp_path: Path,
    invoke: Invoke,
    monkeypatch: pytest.MonkeyPatch,
    befalls: Callable[[Path], None],
    expected: str,
) -> None:
    copy, copy_stream = tmp_path / "read.duckdb", publishing.copy_stream
    assert invoke("publish", copy).exit_code == 0
    before = copy.read_bytes()

    def copy_and_spoil(stream: Any, target: Path) -> str:
        done = copy_stream(stream, target)
        befalls(target)
        return done

    monkeypatch.setattr(publishing, "copy_stream", copy_and_spoil)
    ran = invoke("publish", copy)
    assert ran.exit_code == 1
    assert expected.format(copy=copy) in ran.stderr
    assert "Published" not in ran.stderr
    assert copy.read_bytes() == before


def test_marking_never_makes_a_store(tmp_path: Path) -> None:
    store = Store(StoreSettings(database=tmp_path / "none.duckdb"))
    with pytest.raises(Exception, match="There is no store at"):
        store.mark_published(datetime(2024, 1, 1), "nowhere")
    duckdb.connect(str(tmp_path / "other.duckdb")).close()
    other = Store(StoreSettings(database=tmp_path / "other.duckdb"))
    with pytest.raises(Exception, match="holds no candles of threadx_duck"):
        other.mark_published(datetime(2024, 1, 1), "nowhere")
    assert _names(tmp_path) == ["other.duckdb"]


_STOP = """
import os, sys, signal
import threadx_duck.{module} as module
def stop(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
module.replace_file = stop
from threadx_duck.cli.main import run
sys.exit(int(run(sys.argv[1:])))
"""


def _killed_before_the_swap(module: str, *arguments: str | Path, folder: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _STOP.format(module=module), *map(str, arguments)], cwd=folder, check=False
    )
    assert ended.returncode == -9


@pytest.mark.parametrize(
    ("module", "command", "again"),
    [
        ("upkeep.backup", ("backup", "backups"), ("backup", "backups")),
        ("upkeep.backup", ("backup", "backups"), ("ingest", "BTCUSDC", "--end", "2024-01-01")),
        ("upkeep.backup", ("backup", "backups"), ("publish", "elsewhere/read.duckdb")),
        ("upkeep.publish", ("publish", "backups/read.duckdb"), ("compact",)),
        ("upkeep.publish", ("publish", "backups/read.duckdb"), ("publish", "backups/read.duckdb")),
        ("upkeep.compact", ("compact",), ("ingest", "BTCUSDC", "--end", "2024-01-01")),
        (
            "files.exporter",
            ("export", "--format", "csv", "-o", "data/processed"),
            ("export", "--format", "csv", "-o", "data/processed"),
        ),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, tuple) else None,
)
def test_what_a_killed_command_leaves_is_named_by_doctor_and_swept_by_the_next(
    store: Path, tmp_path: Path, invoke: Invoke, module: str, command: tuple[str, ...], again: tuple[str, ...]
) -> None:
    (tmp_path / "backups").mkdir()
    _killed_before_the_swap(module, *command, folder=tmp_path)
    left = [path for path in tmp_path.rglob("*.tmp-*") if any(part.suffix for part in path.iterdir())]
    assert len(left) == 1
    told = invoke("doctor").stdout
    assert "Left by killed processes: " in told
    assert str(left[0]) in told
    ran = invoke(*again)
    assert ran.exit_code == 0, ran.stderr
    assert list(tmp_path.rglob("*.tmp-*")) == []
    assert "Left by" not in invoke("doctor").stdout


_KILLED_AFTER_MKDIR = """
import os, sys, signal
from pathlib import Path
mkdir = Path.mkdir
def stop(self, *arguments, **options):
    mkdir(self, *arguments, **options)
    if ".tmp-" in self.name:
        os.kill(os.getpid(), signal.SIGKILL)
Path.mkdir = stop
from threadx_duck.cli.main import run
sys.exit(int(run(sys.argv[1:])))
"""
_KILLED_BEFORE_REPLACE = """
import os, sys, signal
from pathlib import Path
Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
from threadx_duck.cli.main import run
sys.exit(int(run(sys.argv[1:])))
"""


@pytest.mark.parametrize(
    ("command", "folder"),
    [
        (("compact",), "data"),
        (("publish", "read.duckdb"), "."),
        (("backup", "backup.duckdb"), "."),
        (("export", "--partition"), "data/processed/1m/symbol=BTCUSDC/year=2024/month=1"),
        (("query", "select 1", "-o", "rows.csv"), "."),
        (("coverage-map", "--no-open"), "data/processed/charts"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else None,
)
@pytest.mark.parametrize("code", [_KILLED_AFTER_MKDIR, _KILLED_BEFORE_REPLACE], ids=["after mkdir", "before replace"])
def test_a_folder_that_a_kill_left_empty_or_full_is_named_and_swept_too(
    store: Path, tmp_path: Path, invoke: Invoke, code: str, command: tuple[str, ...], folder: str
) -> None:
    ended = subprocess.run([sys.executable, "-c", code, *command], cwd=tmp_path, capture_output=True, check=False)
    assert ended.returncode == -9, ended.stderr
    left = list((tmp_path / folder).glob("*.tmp-*"))
    assert len(left) == 1
    is_empty = list(left[0].iterdir()) == []
    assert is_empty == (code is _KILLED_AFTER_MKDIR)
    assert str(left[0]) in invoke("doctor").stdout
    ran = invoke(*command)
    assert ran.exit_code == 0, ran.stderr
    assert list(tmp_path.rglob("*.tmp-*")) == []
    assert "Left by" not in invoke("doctor").stdout


def test_a_folder_that_is_swept_before_its_lock_is_taken_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []
    mkdir = Path.mkdir

    def sweep(self: Path, *arguments: Any, **options: Any) -> None:
        mkdir(self, *arguments, **options)
        if ".tmp-" in self.name:
            made.append(self)
            if len(made) == 1:
                self.rmdir()

    monkeypatch.setattr(Path, "mkdir", sweep)
    with temporary_beside(tmp_path / "x.duckdb") as temporary:
        assert temporary.parent == made[1]
        assert leftovers(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


_KILLED_WHILE_REMOVING = """
import os, sys, signal, shutil
from pathlib import Path
def stop(folder, **options):
    if os.path.exists(f"{folder}/elsewhere"):
        os.remove(f"{folder}/lock")
        os.kill(os.getpid(), signal.SIGKILL)
shutil.rmtree = stop
from threadx_duck.cli.main import run
sys.exit(int(run(sys.argv[1:])))
"""


@pytest.mark.parametrize("after", [("ingest", "--end", "2024-01-01"), ("backup", "again.duckdb"), ("compact",)])
def test_a_note_whose_removal_was_killed_is_named_and_swept(
    store: Path, tmp_path: Path, invoke: Invoke, after: tuple[str, ...]
) -> None:
    (tmp_path / "backups").mkdir()
    ended = subprocess.run(
        [sys.executable, "-c", _KILLED_WHILE_REMOVING, "backup", "backups"], cwd=tmp_path, check=False
    )
    assert ended.returncode == -9
    (left,) = store.parent.glob("*.tmp-*")
    assert [path.name for path in left.iterdir()] == ["elsewhere"]
    assert str(left) in invoke("doctor").stdout
    assert invoke(*after).exit_code == 0
    assert list(tmp_path.rglob("*.tmp-*")) == []


def test_sweeping_leaves_what_is_in_use_and_what_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes, dead = tmp_path / "read.duckdb.tmp-notes", tmp_path / f"x.duckdb.tmp-{'0' * 16}"
    young, old = tmp_path / f"y.duckdb.tmp-{'1' * 16}", tmp_path / f"z.duckdb.tmp-{'2' * 16}"
    earlier, recent = tmp_path / "x.duckdb.tmp-4711", tmp_path / "x.duckdb.tmp-4712.wal"
    for folder in (notes, dead, young, old):
        folder.mkdir()
    (dead / "lock").touch()
    for folder in (young, old):
        for name in ("lock", "half a copy"):
            (folder / name).touch()
            os.utime(folder / name, (time.time() - 90_000 * (folder == old),) * 2)
    lock = temporaries._lock

    def lock_where_that_works(stream: Any) -> bool:
        if Path(stream.name).parent in {young, old}:
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
        return lock(stream)

    monkeypatch.setattr(temporaries, "_lock", lock_where_that_works)
    for path in (earlier, recent):
        path.write_text("half a copy")
    for path in (old, earlier, notes):
        os.utime(path, (time.time() - 90_000,) * 2)
    with temporary_beside(tmp_path / "x.duckdb") as alive:
        alive.write_text("half a copy")
        temporaries.remove_leftovers(tmp_path)
        assert alive.exists()
        assert set(tmp_path.iterdir()) == {notes, young, recent, alive.parent}


def test_messages_name_the_target_and_not_the_temporary(
    store: Path, tmp_path: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_stream = publishing.copy_stream

    def damage(stream: Any, target: Path) -> str:
        done = copy_stream(stream, target)
        target.write_bytes(b"junk" * 5_000)
        return done

    monkeypatch.setattr(publishing, "copy_stream", damage)
    ran = invoke("publish", "read.duckdb")
    assert ran.exit_code == 1
    assert f"{tmp_path / 'read.duckdb'} is not a DuckDB database" in ran.stderr
    assert ".tmp-" not in ran.stderr


# Disks and clocks


@pytest.fixture
def disk_of(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Makes disks of so many kilobytes."""
    mounted: list[Path] = []

    def make(kilobytes: int) -> Path:
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        options = ["-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
        done = subprocess.run(["mount", *options], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no small disk: {done.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        subprocess.run(["umount", folder], check=True)


def test_publish_to_a_disk_that_is_nearly_full_leaves_no_copy_without_its_mark(
    store: Path, invoke: Invoke, disk_of: Callable[[int], Path]
) -> None:
    assert invoke("compact").exit_code == 0
    size = store.stat().st_size // 1024
    codes = set()
    # On the smallest the copy does not fit, on the middle ones its mark does not, on the largest all does.
    for more in (-8, 8, 60, 120, 240, 4_000):
        disk = disk_of(size + more)
        ran = invoke("publish", disk / "read.duckdb")
        codes.add(ran.exit_code)
        if ran.exit_code:
            assert "The disk is full" in ran.stderr
            assert ".tmp-" not in ran.stderr
            assert _names(disk) == []
        else:
            assert _ask(disk / "read.duckdb", "select published_from from store_info") == [(str(store),)]
            # There may be no room for a second beside it; the first stays as it is then.
            before = (disk / "read.duckdb").read_bytes()
            again = invoke("publish", disk / "read.duckdb")
            if again.exit_code:
                assert "The disk is full" in again.stderr
                assert (disk / "read.duckdb").read_bytes() == before
            assert _names(disk) == ["read.duckdb"]
            assert _ask(disk / "read.duckdb", "select published_from from store_info") == [(str(store),)]
    assert codes == {0, 1}


def test_mark_that_is_not_in_the_file_is_noticed(store: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Store, "mark_published", lambda *_: None)
    ran = invoke("publish", "read.duckdb")
    assert ran.exit_code == 1
    assert "read.duckdb did not keep what was written to it. Is that disk full, or failing?" in ran.stderr
    assert not Path("read.duckdb").exists()


def test_new_store_whose_content_cannot_get_into_the_file_is_not_made(
    settings: Settings, store_path: Path, invoke: Invoke, disk_of: Callable[[int], Path]
) -> None:
    for kilobytes in (24, 300, 600):
        disk = disk_of(kilobytes)
        ran = invoke("--db", disk / "new.duckdb", "ingest", "BTCUSDC", "--end", "2024-01-01")
        assert ran.exit_code == 1
        assert "The disk is full" in ran.stderr
        assert _names(disk) in ([], ["new.duckdb"], ["new.duckdb", "new.duckdb.wal"])
        if (disk / "new.duckdb").exists():
            assert invoke("--db", disk / "new.duckdb", "status").exit_code == 0
            assert invoke("--db", disk / "new.duckdb", "check").exit_code == 0


def test_copy_made_while_the_clock_was_ahead_is_renewed(store: Path, tmp_path: Path, invoke: Invoke) -> None:
    settings = Path("paths.toml")
    settings.write_text(settings.read_text().replace("[data.store]\n", '[data.store]\nread_copy = "read.duckdb"\n'))
    ahead = time.time() + 10 * 365 * 86_400
    os.utime(store, (ahead, ahead))
    assert invoke("publish").exit_code == 0
    assert invoke("ingest", "BTCUSDC", "--end", "2024-01-02").exit_code == 0
    assert _count(Path("read.duckdb")) == _count(store) == CANDLES + 1_440


def test_copy_taken_with_a_clock_ahead_of_the_store_is_renewed(store: Path, invoke: Invoke) -> None:
    settings = Path("paths.toml")
    settings.write_text(settings.read_text().replace("[data.store]\n", '[data.store]\nread_copy = "read.duckdb"\n'))
    assert invoke("publish").exit_code == 0
    ahead = time.time() + 86_400
    os.utime("read.duckdb", (ahead, ahead))
    assert invoke("ingest", "BTCUSDC", "--end", "2024-01-02").exit_code == 0
    assert _count(Path("read.duckdb")) == CANDLES + 1_440


def test_copy_of_a_store_that_was_put_back_to_an_older_one_is_renewed(store: Path, invoke: Invoke) -> None:
    settings = Path("paths.toml")
    settings.write_text(settings.read_text().replace("[data.store]\n", '[data.store]\nread_copy = "read.duckdb"\n'))
    assert invoke("backup", "b.duckdb").exit_code == 0
    assert invoke("ingest", "BTCUSDC", "--end", "2024-01-02").exit_code == 0
    assert _count(Path("read.duckdb")) == CANDLES + 1_440
    os.utime("b.duckdb", (1_700_000_000,) * 2)
    Path("b.duckdb").replace(store)
    assert invoke("ingest", "BTCUSDC", "--end", "2024-01-01").exit_code == 0
    assert _count(Path("read.duckdb")) == CANDLES
    before = Path("read.duckdb").stat()
    assert invoke("ingest", "BTCUSDC", "--end", "2024-01-01").exit_code == 0
    assert Path("read.duckdb").stat() == before


# What people have put into the store


def test_compact_keeps_generated_columns_keys_sequences_and_indexes(store: Path, invoke: Invoke) -> None:
    _change(
        store,
        """
        alter table candles_1m add column note varchar;
        create table typed (a integer, "b c" integer generated always as (a * 2), d varchar default 'x', e integer);
        insert into typed (a, e) values (1, 10), (2, 20);
        create table z_parent (id integer primary key);
        insert into z_parent values (1), (2);
        create table a_child (x integer references z_parent (id));
        insert into a_child values (2);
        create sequence numbers start 5;
        create table numbered (i integer default nextval('numbers'), v integer);
        insert into numbered (v) values (1), (2);
        create index by_value on numbered (v);
        """,
    )
    queries = ("from typed", "from a_child", "from z_parent", "from numbered", "select count(note) from candles_1m")
    before = [_ask(store, query) for query in queries]
    ran = invoke("compact")
    assert ran.exit_code == 0, ran.stderr
    assert [_ask(store, query) for query in queries] == before
    _change(store, "insert into typed (a) values (3); insert into numbered (v) values (3)")
    assert _ask(store, 'select "b c" from typed where a = 3') == [(6,)]
    assert _ask(store, "select i from numbered order by v") == [(5,), (6,), (7,)]
    assert _ask(store, "select index_name from duckdb_indexes()") == [("by_value",)]


def test_migrate_of_a_store_with_a_column_of_somebodys_own_is_refused_before_any_work(
    store: Path, invoke: Invoke, tmp_path: Path
) -> None:
    _change(store, "alter table candles_1m add column note varchar; alter table requests add column who varchar")
    ran = invoke("migrate", "moved.duckdb")
    assert ran.exit_code == 2
    assert "has columns that do not belong to it and would be lost: candles_1m.note, requests.who." in ran.stderr
    assert not Path("moved.duckdb").exists()


# Other systems, by simulation


class _RefusedError(PermissionError):
    """What Windows says when an open file is to be replaced."""

    winerror = 5


@pytest.fixture
def open_copy_stays(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Lets no file be replaced or removed that is said to be open."""
    opened: set[Path] = set()
    replace, unlink = Path.replace, Path.unlink

    def replacing(self: Path, target: Path) -> Path:
        if Path(target) in opened:
            raise _RefusedError(13, "Access is denied")
        return replace(self, target)

    def unlinking(self: Path, missing_ok: bool = False) -> None:
        if self in opened:
            raise _RefusedError(13, "Access is denied")
        unlink(self, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "replace", replacing)
    monkeypatch.setattr(Path, "unlink", unlinking)
    return opened.add


def test_copy_that_cannot_be_replaced_gets_a_number(
    store: Path, tmp_path: Path, invoke: Invoke, open_copy_stays: Callable[[Path], None]
) -> None:
    settings, copy = Path("paths.toml"), tmp_path / "read.duckdb"
    settings.write_text(settings.read_text().replace("[data.store]\n", '[data.store]\nread_copy = "read.duckdb"\n'))
    assert invoke("publish").exit_code == 0
    open_copy_stays(copy)
    ran = invoke("ingest", "BTCUSDC", "--end", "2024-01-02")
    assert ran.exit_code == 0, ran.stderr
    assert (_count(copy), _count(tmp_path / "read.2.duckdb")) == (CANDLES, CANDLES + 1_440)
    before = (tmp_path / "read.2.duckdb").stat()
    assert invoke("ingest", "BTCUSDC", "--end", "2024-01-02").exit_code == 0
    assert (tmp_path / "read.2.duckdb").stat() == before
    assert f"{tmp_path / 'read.2.duckdb'} was taken" in invoke("doctor").stdout
    assert f"to {tmp_path / 'read.3.duckdb'}." in invoke("publish").stderr
    assert not (tmp_path / "read.2.duckdb").exists()


def test_files_are_flushed_through_a_handle_for_writing(
    store: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[int] = []
    sync = os.fsync

    def noting(descriptor: int) -> None:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            import fcntl

            flushed.append(fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", noting)
    for command in (
        ("publish", "r.duckdb"),
        ("compact",),
        ("backup", "b.duckdb"),
        ("export", "--format", "csv", "-o", "o"),
    ):
        flushed.clear()
        assert invoke(*command).exit_code == 0
        assert flushed
        assert os.O_RDONLY not in flushed


def test_no_process_is_ever_signalled_to_find_out_whether_it_lives(
    store: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sent: list[object] = []
    monkeypatch.setattr(os, "kill", lambda *arguments: sent.append(arguments))
    (tmp_path / "data" / "threadx.duckdb.tmp-1").write_text("")
    (tmp_path / "data" / f"threadx.duckdb.tmp-{'0' * 16}").mkdir()
    for command in (("doctor",), ("publish", "r.duckdb"), ("compact",), ("backup", "b.duckdb")):
        assert invoke(*command).exit_code == 0
    assert sent == []


def test_what_windows_says_of_a_file_that_is_in_use_is_waited_for() -> None:
    text = "IO Error: Cannot open file: The process cannot access the file because it is being used by another process."
    error = store_error(Path("x.duckdb"), duckdb.IOException(text))
    assert isinstance(error, StoreLockedError)
    assert "x.duckdb is held by another process" in str(error)
