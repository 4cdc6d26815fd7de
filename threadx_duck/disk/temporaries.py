"""Temporary files beside those they will replace: private, told apart from dead ones by a lock, swept by the next run.

Each lies in a folder of its own, ``NAME.tmp-<random>``, with a locked file beside it. The lock ends with the process
that made them, on whatever machine or in whatever container it ran; process ids mean nothing across these.
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
# As an earlier version called them: by the process, in the folder itself.
_EARLIER = re.compile(r".+\.duckdb\.tmp-\d+(\.wal|\.spill)?")
_TAKEN = {errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK}
_SURELY_DEAD_SECONDS = 86_400.0


@contextmanager
def temporary_beside(target: Path, noted_at: Path | None = None) -> Iterator[Path]:
    """A path for a file that will replace ``target``; it is removed at the end, and what dead processes left before.

    ``noted_at`` is a folder that is swept when that of ``target`` might not be, such as that of the store for a
    backup: a killed process is found out there, too. Errors that pass name the target in the temporary's place.
    """
    target = resolved(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    for swept in {target.parent, resolved(noted_at or target.parent)}:
        remove_leftovers(swept)
    with ExitStack() as stack:
        folder = stack.enter_context(_own_folder(target))
        if noted_at is not None and resolved(noted_at) != target.parent:
            # A folder that cannot be written to needs no sweeping.
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
    """Temporary files that lie in a folder, or are noted there, and whose process has ended before it removed them."""
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
    """What `leftovers` finds in a folder and in all folders below it."""
    found: set[Path] = set()
    for name, inside, _ in os.walk(folder):
        inside[:] = [entry for entry in inside if not _FOLDER.fullmatch(entry)]
        found.update(leftovers(Path(name)))
    return sorted(found)


def remove_leftovers(folder: Path) -> None:
    """Removes what dead processes left in a folder, or noted there."""
    for path in leftovers(folder):
        _remove(path)


def _remove(path: Path) -> None:
    with suppress(OSError):
        if not path.is_dir():
            path.unlink(missing_ok=True)
        elif _is_empty(path):
            # Not by force: who has made it may be about to take its lock.
            path.rmdir()
        elif _is_dead(path):
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _own_folder(target: Path) -> Iterator[Path]:
    """A folder beside ``target`` that only this user can look into, with its lock held until it is removed."""
    while True:
        folder = target.with_name(f"{target.name}.tmp-{os.urandom(8).hex()}")
        folder.mkdir(mode=0o700)
        try:
            try:
                stream = (folder / _LOCK).open("wb")
            except OSError:
                if folder.exists():
                    raise
                # Somebody has swept it away in the moment before.
                continue
            with stream:
                if _is_taken(stream):
                    yield folder
                    break
        finally:
            # Windows removes no file that is open.
            shutil.rmtree(folder, ignore_errors=True)


def _is_taken(stream: BinaryIO) -> bool:
    """Locks a new file for as long as it is open; False if somebody has swept it away in the moment before."""
    with suppress(OSError):
        # A file system without locks leaves it to the age of the folder.
        if not _lock(stream):
            return False
    return sys.platform == "win32" or os.fstat(stream.fileno()).st_nlink > 0


def _lock(stream: BinaryIO) -> bool:
    """Takes the lock of an open file; False if somebody has it. Raises `OSError` if there are no locks here."""
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
    """Whether nobody holds the lock of a temporary folder. A folder of somebody else is not judged."""
    try:
        with (folder / _LOCK).open("r+b") as stream:
            return _lock(stream)
    except PermissionError:
        return False
    except OSError:
        # Not locked yet, or no locks here. An empty one is taken away at any time: see `_own_folder`.
        return _is_empty(folder) or _is_old(folder)


def _is_empty(folder: Path) -> bool:
    try:
        return next(folder.iterdir(), None) is None
    except OSError:
        return False


def _is_old(path: Path) -> bool:
    """Whether nothing was written to a temporary file or folder for a day."""
    try:
        newest: float = max(entry.stat().st_mtime for entry in (path, *(path.iterdir() if path.is_dir() else ())))
    except OSError:
        return False
    return time.time() - newest > _SURELY_DEAD_SECONDS


def _elsewhere(note: Path) -> list[Path]:
    """The dead temporary folder that a dead note speaks of."""
    try:
        folder = Path((note / _ELSEWHERE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [folder] if _FOLDER.fullmatch(folder.name) and folder.is_dir() and _is_dead(folder) else []
