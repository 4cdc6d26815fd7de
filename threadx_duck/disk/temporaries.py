"""Temporary files beside the files they will replace: private, locked while in use, swept by the next run.

Each lies in its own folder, ``NAME.tmp-<random>``, with a locked file beside it. The lock ends with the process that
took it, on any machine and in any container; a process id would mean nothing on another machine or in a container.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from threadx_duck.disk.posix import resolved
from threadx_duck.errors import StoreError

_LOCK = "lock"
_ELSEWHERE = "elsewhere"
_FOLDER = re.compile(r".+\.tmp-[0-9a-f]{16}")
# Names of an earlier version: with the process id, in the folder of the target.
_EARLIER = re.compile(r".+\.duckdb\.tmp-\d+(\.wal|\.spill)?")
_TAKEN = {errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK}
_SURELY_DEAD_SECONDS = 86_400.0


@contextmanager
def temporary_beside(target: Path, noted_at: Path | None = None) -> Iterator[Path]:
    """Yields a path for a file that will replace ``target``, and removes that file at the end.

    First removes what dead processes have left. ``noted_at`` is another folder that keeps a note of the temporary
    file, such as the store's folder for a backup: later runs sweep it even if they never sweep that of ``target``.
    A `StoreError` that passes through names the target, not the temporary file.
    """
    target = resolved(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    for swept in {target.parent, resolved(noted_at or target.parent)}:
        remove_leftovers(swept)
    with ExitStack() as stack:
        folder = stack.enter_context(_own_folder(target))
        if noted_at is not None and resolved(noted_at) != target.parent:
            # No note in a folder that cannot be written to.
            with suppress(OSError):
                note = stack.enter_context(_own_folder(resolved(noted_at) / target.name))
                (note / _ELSEWHERE).write_text(str(folder), encoding="utf-8")
        temporary = folder / target.name
        try:
            yield temporary
        except StoreError as error:
            if str(folder) not in str(error):
                raise
            raise type(error)(str(error).replace(str(temporary), str(target))) from error.__cause__


def leftovers(folder: Path) -> list[Path]:
    """Returns the temporary files in a folder, or noted there, whose process ended before it removed them; sorted."""
    found: list[Path] = []
    with suppress(OSError):
        for path in folder.iterdir():
            if _FOLDER.fullmatch(path.name) and path.is_dir():
                if _is_dead(path):
                    found += [path, *_elsewhere(path)]
            elif _EARLIER.fullmatch(path.name) and _is_old(path):
                found.append(path)
    return sorted(set(found))


def leftovers_below(folder: Path) -> list[Path]:
    """Returns what `leftovers` finds in a folder and in all folders below it, sorted."""
    found: set[Path] = set()
    for name, inside, _ in os.walk(folder):
        inside[:] = [entry for entry in inside if not _FOLDER.fullmatch(entry)]
        found.update(leftovers(Path(name)))
    return sorted(found)


def remove_leftovers(folder: Path) -> None:
    """Removes the files that dead processes left in a folder, or noted there."""
    for path in leftovers(folder):
        _remove(path)


def _remove(path: Path) -> None:
    with suppress(OSError):
        if not path.is_dir():
            path.unlink(missing_ok=True)
        elif _is_empty(path):
            # Not `rmtree`: the process that made the folder may be about to take its lock.
            path.rmdir()
        elif _is_dead(path):
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _own_folder(target: Path) -> Iterator[Path]:
    """Yields a locked folder beside ``target`` that only this user can read, and removes it at the end."""
    while True:
        folder = target.with_name(f"{target.name}.tmp-{os.urandom(8).hex()}")
        folder.mkdir(mode=0o700)
        try:
            try:
                stream = (folder / _LOCK).open("wb")
            except OSError:
                if folder.exists():
                    raise
                # Another process has just swept the folder away.
                continue
            with stream:
                if _is_taken(stream):
                    yield folder
                    break
        finally:
            # Here the lock file is closed; Windows cannot remove an open file.
            shutil.rmtree(folder, ignore_errors=True)


def _is_taken(stream: BinaryIO) -> bool:
    """Locks a new file until it is closed. Returns False if another process has just swept it away."""
    with suppress(OSError):
        # On a file system without locks, only the age of the folder counts.
        if not _lock(stream):
            return False
    return sys.platform == "win32" or os.fstat(stream.fileno()).st_nlink > 0


def _lock(stream: BinaryIO) -> bool:
    """Locks an open file. Returns False if another process holds the lock. Raises `OSError` without lock support."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _TAKEN:
            raise
        return False
    return True


def _is_dead(folder: Path) -> bool:
    """Returns True if no process holds the lock of a temporary folder; False if the folder is another user's."""
    try:
        with (folder / _LOCK).open("r+b") as stream:
            return _lock(stream)
    except PermissionError:
        return False
    except FileNotFoundError:
        # A folder without its lock is new and empty, which `_own_folder` expects to lose, or its owner was killed while
        # it removed the folder.
        return True
    except OSError:
        # No lock support.
        return _is_old(folder)


def _is_empty(folder: Path) -> bool:
    try:
        return next(folder.iterdir(), None) is None
    except OSError:
        return False


def _is_old(path: Path) -> bool:
    """Returns True if a temporary file or folder was not written to for a day."""
    try:
        newest: float = max(entry.stat().st_mtime for entry in (path, *(path.iterdir() if path.is_dir() else ())))
    except OSError:
        return False
    return time.time() - newest > _SURELY_DEAD_SECONDS


def _elsewhere(note: Path) -> list[Path]:
    """Returns the dead temporary folder that a dead note names, as a list of one; an empty list if there is none."""
    try:
        folder = Path((note / _ELSEWHERE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [folder] if _FOLDER.fullmatch(folder.name) and folder.is_dir() and _is_dead(folder) else []
