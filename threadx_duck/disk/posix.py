"""The database file as the operating system sees it: held, copied, replaced; never while it is open here.

POSIX drops a process's locks on a file as soon as it closes *any* descriptor of it. Reading or copying the
database from a process that also has it open would let a second writer in, and both would lose rows. So only
this module opens the file other than through DuckDB, and it refuses to while a descriptor of it is open here.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

_CHUNK = 1 << 20
_DESCRIPTORS = Path("/dev/fd")

# struct flock of Linux: type, whence, start, length, process.
_FLOCK = "hhqqi"

# Access denied, sharing violation, user-mapped section.
_OPEN_ELSEWHERE = {5, 32, 1224}

Identity = tuple[int, int]


def identity(path: Path) -> Identity | None:
    """Which file lies there, whatever it is called; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def is_special(path: Path) -> bool:
    """Whether what lies there is neither a file nor a folder, such as a pipe: opening it may wait without an end."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


class FileState(NamedTuple):
    """Tells a file from what it was before: which one it is, its size, when it was written (ns since the epoch)."""

    device: int
    inode: int
    size: int
    modified: int


def state_of(path: Path) -> FileState:
    """The state of a file; zeros if there is none. Opens nothing."""
    try:
        found = path.stat()
    except OSError:
        return FileState(0, 0, 0, 0)
    return FileState(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


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


def is_held(path: Path, *, shared: bool) -> bool:
    """Whether another process keeps one out who would lock the file, shared or not; False if there is no telling.

    Takes a hundredth of what it takes to let DuckDB try.
    """
    if sys.platform != "linux" or is_open_here(path):
        return False
    import fcntl

    wanted = struct.pack(_FLOCK, fcntl.F_RDLCK if shared else fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    try:
        with path.open("rb") as stream:
            kind: int = struct.unpack(_FLOCK, fcntl.fcntl(stream, fcntl.F_GETLK, wanted))[0]
    except OSError:
        return False
    return kind != fcntl.F_UNLCK


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


def replace_file(temporary: Path, target: Path, like: Path | None = None) -> None:
    """Puts a finished file in the place of another, in one step that outlives a power loss.

    It takes over owner, group and mode of what it replaces; a new one has the mode of ``like``, if that is given.
    """
    target = resolved(target)
    if target.exists():
        _take_owner(temporary, target.stat())
    elif like is not None:
        temporary.chmod(stat.S_IMODE(like.stat().st_mode))
    _flush(temporary)
    temporary.replace(target)
    _flush_folder(target.parent)


def link_file(temporary: Path, target: Path) -> None:
    """Puts a finished file where none is. Raises `FileExistsError` if there is one by now."""
    _flush(temporary)
    try:
        target.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError:
        # A file system without links: the moment between looking and renaming is the best there is.
        if target.exists():
            raise FileExistsError(target) from None
        temporary.replace(target)
    _flush_folder(target.parent)


def resolved(path: Path) -> Path:
    """The path without symbolic links, whether anything lies there or not."""
    # `Path.resolve` raises for a link that leads to itself; opening the file says so better.
    return Path(os.path.realpath(path))


def stranger(path: Path) -> int | None:
    """The user to whom a file belongs, if this process could not give a new file to that user; else None."""
    if sys.platform == "win32" or os.geteuid() in {0, path.stat().st_uid}:
        return None
    return path.stat().st_uid


def is_open_elsewhere(error: OSError) -> bool:
    """Whether Windows refuses to replace a file because somebody has it open."""
    return getattr(error, "winerror", None) in _OPEN_ELSEWHERE


def _take_owner(file: Path, before: os.stat_result) -> None:
    """Gives a file the owner, group and mode of the one it replaces, never letting anybody in who was not before."""
    mode = stat.S_IMODE(before.st_mode)
    if sys.platform != "win32":
        now = file.stat()
        if now.st_uid != before.st_uid:
            # Only root may give a file away; what somebody else replaces becomes theirs.
            with suppress(PermissionError):
                os.chown(file, before.st_uid, -1)
        if now.st_gid != before.st_gid:
            try:
                os.chown(file, -1, before.st_gid)
            except PermissionError:
                # The group that it has instead may do what everybody may.
                mode = mode & ~stat.S_IRWXG | (mode & stat.S_IRWXO) << 3
    file.chmod(mode)


def _flush(file: Path) -> None:
    # For writing: Windows refuses to flush a file that is open for reading.
    with file.open("r+b") as stream:
        os.fsync(stream.fileno())


def _flush_folder(folder: Path) -> None:
    if sys.platform != "win32":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
