"""Locks, copies and replaces the database file with calls of the operating system, while it is not open here.

POSIX drops a process's locks on a file as soon as the process closes *any* descriptor of it. If a process that has
the database open also read or copied the file, a second writer could get in, and both would lose rows. So only this
module opens the file other than through DuckDB, and it refuses to while this process has a descriptor of it.
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
    """Returns the device and inode of the file at ``path``; None if there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def is_special(path: Path) -> bool:
    """Returns True for what is neither a file nor a folder, such as a pipe: opening it may wait forever."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


class FileState(NamedTuple):
    """Identity, size and modification time (ns since the epoch) of a file; it differs after the file has changed."""

    device: int
    inode: int
    size: int
    modified: int


def state_of(path: Path) -> FileState:
    """Returns the state of a file; zeros if there is no file. Opens nothing."""
    try:
        found = path.stat()
    except OSError:
        return FileState(0, 0, 0, 0)
    return FileState(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def is_open_here(path: Path) -> bool:
    """Returns True if this process has a descriptor of the file, under any name. Opens nothing."""
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
    """Yields the file, open for reading, with a lock that keeps every writer out.

    Raises `BlockingIOError` at once if a writer holds it. The caller must make sure that it is not open in this
    process.
    """
    with path.open("rb") as stream:
        if sys.platform != "win32":
            import fcntl

            fcntl.lockf(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        yield stream


def holder(path: Path) -> str | None:
    """Describes the process that has locked the file, a reader or a writer.

    Returns None if no process holds the file or this platform cannot say. The caller must make sure that the file is
    not open in this process.
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
    """Returns True if a lock of another process forbids a lock of this one, shared or exclusive.

    Returns False if this platform cannot say. Takes a hundredth of the time of an attempt by DuckDB.
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
    """Copies an open file to a new one and flushes that to the disk. Returns the SHA-256 of the bytes read."""
    digest = hashlib.sha256()
    with target.open("xb") as out:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
            out.write(chunk)
        out.flush()
        os.fsync(out.fileno())
    return digest.hexdigest()


def hash_file(path: Path) -> str:
    """Returns the SHA-256 of a file, which nothing in this process may have open."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def replace_file(temporary: Path, target: Path, like: Path | None = None) -> None:
    """Replaces ``target`` with a finished file, in one step that survives a power loss.

    The file takes owner, group and mode of ``target``; if there is no ``target``, the mode of ``like``, if given.
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
    """Moves a finished file to a path where no file is. Raises `FileExistsError` if there is one by now."""
    _flush(temporary)
    try:
        target.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError:
        # This file system has no links; a file that appears between the check and the rename is lost.
        if target.exists():
            raise FileExistsError(target) from None
        temporary.replace(target)
    _flush_folder(target.parent)


def resolved(path: Path) -> Path:
    """Returns the path without symbolic links, even if nothing exists there."""
    # `Path.resolve` raises for a link to itself; opening the file later gives a better error.
    return Path(os.path.realpath(path))


def stranger(path: Path) -> int | None:
    """Returns the id of the user who owns a file, if this process could not give a new file to that user; else None."""
    if sys.platform == "win32" or os.geteuid() in {0, path.stat().st_uid}:
        return None
    return path.stat().st_uid


def is_open_elsewhere(error: OSError) -> bool:
    """Returns True if Windows refuses to replace a file because a process has it open."""
    return getattr(error, "winerror", None) in _OPEN_ELSEWHERE


def _take_owner(file: Path, before: os.stat_result) -> None:
    """Gives a file the owner, group and mode of the one it replaces, and never grants anybody new access."""
    mode = stat.S_IMODE(before.st_mode)
    if sys.platform != "win32":
        now = file.stat()
        if now.st_uid != before.st_uid:
            # Only root may change the owner; a file that another user replaces then belongs to that user.
            with suppress(PermissionError):
                os.chown(file, before.st_uid, -1)
        if now.st_gid != before.st_gid:
            try:
                os.chown(file, -1, before.st_gid)
            except PermissionError:
                # The file keeps another group, which gets only the rights of everybody.
                mode = mode & ~stat.S_IRWXG | (mode & stat.S_IRWXO) << 3
    file.chmod(mode)


def _flush(file: Path) -> None:
    # Opened for writing, because Windows refuses to flush a file that is open for reading.
    with file.open("r+b") as stream:
        os.fsync(stream.fileno())


def _flush_folder(folder: Path) -> None:
    if sys.platform != "win32":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
