"""Writes files whole or not at all, and never replaces a database or a read-only file.

The bytes go to a temporary file in the same folder, which then replaces the earlier file in one step. A full disk,
an error or Ctrl-C leaves the earlier file as it was. A link stays a link: the file that it names is replaced.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from threadx_duck.disk.posix import is_open_here, resolved
from threadx_duck.disk.temporaries import temporary_beside
from threadx_duck.errors import UsageError

# A DuckDB file, of any version, has these bytes after the checksum of its first block.
_MAGIC = b"DUCK"
_MAGIC_AT = 8
_LOG_SUFFIX = ".wal"
_PERMISSIONS = 0o777
_WRITABLE = 0o222

# If one of these is a file, the shell has opened it; it is written to, not replaced.
_STREAMS = {"/dev/stdout": 1, "/dev/fd/1": 1, "/dev/stderr": 2, "/dev/fd/2": 2}


def require_replaceable(path: Path) -> None:
    """Raises `UsageError` for a DuckDB file, under any name or link, for its log, and for a read-only file."""
    if str(path) in _STREAMS:
        return
    reason = _why_kept(_resolved(path))
    if reason is not None:
        raise UsageError(f"{path} {reason}; it is not written over. Name another file.")
    require_no_log(path)


def require_no_log(path: Path) -> None:
    """Raises `UsageError` if DuckDB would read a file at ``path`` as the log of a database, even if none exists yet."""
    target = _resolved(path)
    if target.suffix == _LOG_SUFFIX and _is_database(target.with_suffix("")):
        raise UsageError(f"{path} is where {target.stem} has its log; it is not written over. Name another file.")


@contextmanager
def whole_file(path: Path, *, lasting: bool = True) -> Iterator[IO[bytes]]:
    """Yields an open file that replaces ``path`` when the block ends without an error. The folder must exist.

    The new file keeps the mode of the earlier one, and its owner where the system allows. ``lasting`` waits until the
    bytes are on the disk. A pipe or another special file is written to directly. Raises `UsageError` as
    `require_replaceable` does, and `OSError`.
    """
    require_replaceable(path)
    if str(path) in _STREAMS:
        with os.fdopen(os.dup(_STREAMS[str(path)]), "wb") as stream:
            yield stream
        return
    # Not resolved: a pipe of the shell, such as /dev/fd/63, is a link to something without a name.
    earlier = path.stat() if path.exists() else None
    if earlier is not None and not stat.S_ISREG(earlier.st_mode):
        with path.open("wb") as stream:
            yield stream
        return
    target = _resolved(path)
    if not target.parent.is_dir():
        code = errno.ENOTDIR if target.parent.exists() else errno.ENOENT
        raise OSError(code, os.strerror(code), str(target.parent))
    with temporary_beside(target) as temporary:
        with temporary.open("xb") as stream:
            yield stream
            stream.flush()
            if earlier is not None:
                _make_alike(temporary, earlier)
            if lasting:
                os.fsync(stream.fileno())
        # Checked again: minutes may have passed, and the next line must not replace a database.
        require_replaceable(path)
        temporary.replace(target)


def write_whole(path: Path, content: bytes, *, lasting: bool = True) -> None:
    """Writes a file whole or not at all; creates its folder. Raises the errors of `whole_file`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path, lasting=lasting) as stream:
        stream.write(content)


def _resolved(path: Path) -> Path:
    """Returns the path that a link names, even if nothing exists there. Raises `OSError` for a loop of links."""
    target = resolved(path)
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return target


def _why_kept(target: Path) -> str | None:
    """Returns the reason why a file must not be replaced; None if it may be."""
    try:
        mode = target.stat().st_mode
        if not stat.S_ISREG(mode):
            return None
        if is_open_here(target):
            return "is open in this very process"
        if _is_database(target):
            return "is a DuckDB database"
    except PermissionError:
        return "may not be read, so that it might be a database"
    except OSError:
        return None
    # The superuser could write to it, but a read-only mode means that it should stay.
    return None if mode & _WRITABLE and os.access(target, os.W_OK) else "is read-only"


def _is_database(file: Path) -> bool:
    """Returns True if this is a DuckDB file. Raises `PermissionError` if it cannot be read."""
    if is_open_here(file):
        # Closing it after a read would drop DuckDB's lock on it.
        return True
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            return False
        with file.open("rb") as stream:
            return stream.read(_MAGIC_AT + len(_MAGIC))[_MAGIC_AT:] == _MAGIC
    except PermissionError:
        raise
    except OSError:
        return False


def _make_alike(temporary: Path, earlier: os.stat_result) -> None:
    if hasattr(os, "chown"):
        # Only the superuser may change the owner; others may set a group of which they are members.
        for owner, group in ((earlier.st_uid, -1), (-1, earlier.st_gid)):
            with suppress(PermissionError):
                os.chown(temporary, owner, group)
    temporary.chmod(earlier.st_mode & _PERMISSIONS)
