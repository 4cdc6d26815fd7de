"""The database file as the operating system sees it: held, copied, replaced; never while it is open here.

POSIX drops a process's locks on a file as soon as it closes *any* descriptor of it. Reading or copying the
database from a process that also has it open would let a second writer in, and both would lose rows. So only
this module opens the file other than through DuckDB, and it refuses to while a descriptor of it is open here.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_CHUNK = 1 << 20
_DESCRIPTORS = Path("/dev/fd")
_LEFTOVER = re.compile(r"\.tmp-(\d+)(\.wal|\.spill)?")

# struct flock of Linux: type, whence, start, length, process.
_FLOCK = "hhqqi"

Identity = tuple[int, int]


def identity(path: Path) -> Identity | None:
    """Which file lies there, whatever it is called; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def is_open_here(path: Path) -> bool:
    """Whether this very process has a descriptor of the file, under any name. Opens nothing."""
    wanted = identity(path)
    if wanted is None or not _DESCRIPTORS.is_dir():
        return False
    for name in os.listdir(_DESCRIPTORS):  # noqa: PTH208 - names only, the entries vanish meanwhile
        with suppress(OSError):
            found = os.fstat(int(name))
            if (found.st_dev, found.st_ino) == wanted:
                return True
    return False


@contextmanager
def held(path: Path) -> Iterator[BinaryIO]:
    """The file, open for reading, with a lock that keeps every writer out. Raises `BlockingIOError` at once.

    The caller has made sure that it is not open in this process.
    """
    with path.open("rb") as stream:
        if sys.platform != "win32":
            import fcntl

            fcntl.lockf(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        yield stream


def holder(path: Path) -> str | None:
    """The process that has locked the file, reader or writer; None if there is none, or no telling.

    The caller has made sure that the file is not open in this process.
    """
    if sys.platform != "linux":
        return None
    import fcntl

    with path.open("rb") as stream:
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, process = struct.unpack(_FLOCK, fcntl.fcntl(stream, fcntl.F_GETLK, asked))
    if kind == fcntl.F_UNLCK:
        return None
    try:
        program = (Path("/proc") / str(process) / "exe").readlink()
    except OSError:
        return f"process {process}"
    return f"{program} (process {process})"


def copy_stream(stream: BinaryIO, target: Path) -> str:
    """Copies an open file to a new one and onto the disk; returns the hash of what was read."""
    digest = hashlib.sha256()
    with target.open("xb") as out:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
            out.write(chunk)
        out.flush()
        os.fsync(out.fileno())
    return digest.hexdigest()


def hash_file(path: Path) -> str:
    """The hash of a file that nothing has open."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def temporary_beside(target: Path) -> Iterator[Path]:
    """A path in the folder of ``target`` for a file that will replace it; whatever is left there is removed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(target)
    temporary = target.with_name(f"{target.name}.tmp-{os.getpid()}")
    _remove(temporary)
    try:
        yield temporary
    finally:
        _remove(temporary)


def replace_file(temporary: Path, target: Path) -> None:
    """Puts a finished file in the place of another, in one step that outlives a power loss."""
    with temporary.open("rb") as stream:
        os.fsync(stream.fileno())
    temporary.replace(target)
    if sys.platform != "win32":
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def link_file(temporary: Path, target: Path) -> None:
    """Puts a finished file where none is. Raises `FileExistsError` if there is one by now."""
    try:
        target.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError:
        # A file system without links: the moment between looking and renaming is the best there is.
        if target.exists():
            raise FileExistsError(target) from None
        temporary.replace(target)


def leftovers(target: Path) -> list[Path]:
    """Temporary files beside ``target`` whose process is gone: it was killed before it could remove them."""
    found = []
    for path in target.parent.glob(f"{_escaped(target.name)}.tmp-*"):
        match = _LEFTOVER.fullmatch(path.name[len(target.name) :])
        if match and not _is_alive(int(match[1])):
            found.append(path)
    return sorted(found)


def remove_leftovers(target: Path) -> None:
    """Removes what killed processes left beside ``target``."""
    for path in leftovers(target):
        _remove(path)


def _remove(path: Path) -> None:
    for part in (path, path.with_name(f"{path.name}.wal")):
        part.unlink(missing_ok=True) if not part.is_dir() else shutil.rmtree(part, ignore_errors=True)
    shutil.rmtree(path.with_name(f"{path.name}.spill"), ignore_errors=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _escaped(name: str) -> str:
    return re.sub(r"([\[?*])", r"[\1]", name)
