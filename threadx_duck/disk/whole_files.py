"""Writes files whole or not at all, in the place of an earlier one, and never over a database.

What is written goes to a temporary file in the same folder, which takes the place of the earlier file in one step:
a full disk, an error or Ctrl-C leaves the earlier one as it was. A link stays a link: what it names is replaced.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from threadx_duck.disk.posix import is_open_here
from threadx_duck.errors import UsageError

# A DuckDB file, of any version, has these bytes after the checksum of its first block.
_MAGIC = b"DUCK"
_MAGIC_AT = 8
_LOG_SUFFIX = ".wal"
_PERMISSIONS = 0o777


def require_no_database(path: Path) -> None:
    """Raises `UsageError` if a DuckDB file lies there, under whatever name or link, or the log of one."""
    target = _resolved(path)
    reason = _why_kept(target)
    if reason is None and target.suffix == _LOG_SUFFIX and target.exists() and _why_kept(target.with_suffix("")):
        reason = "is the log of a DuckDB database"
    if reason is not None:
        raise UsageError(f"{path} {reason}; it is not written over. Name another file.")


@contextmanager
def whole_file(path: Path, *, lasting: bool = True) -> Iterator[IO[bytes]]:
    """An open file that takes the place of ``path`` once the block has ended well; its folder must be there.

    The mode of the earlier file is kept, its owner where the system allows. ``lasting`` waits until the bytes are
    on the disk. What is no ordinary file, such as a pipe, is written to directly. Raises `UsageError` for a
    database, `OSError`.
    """
    require_no_database(path)
    target = _resolved(path)
    earlier = target.stat() if target.exists() else None
    if earlier is not None and not stat.S_ISREG(earlier.st_mode):
        with target.open("wb") as stream:
            yield stream
        return
    temporary = target.with_name(f".threadx-{os.urandom(8).hex()}.part")
    try:
        with temporary.open("xb") as stream:
            yield stream
            stream.flush()
            if earlier is not None:
                _make_alike(temporary, earlier)
            if lasting:
                os.fsync(stream.fileno())
        # Again: the one place where it would be lost, and minutes may have passed since.
        require_no_database(path)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes, *, lasting: bool = True) -> None:
    """Writes a file whole or not at all, with its folder. Raises `UsageError` for a database, `OSError`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path, lasting=lasting) as stream:
        stream.write(content)


def _resolved(path: Path) -> Path:
    """What a link names, whether it is there or not. Raises `OSError` for links in a circle."""
    try:
        return path.resolve()
    except RuntimeError as error:
        # Python before 3.13 says so of links in a circle.
        raise OSError(f"links in a circle at {path}") from error


def _why_kept(target: Path) -> str | None:
    """Why a file must not be replaced, if it must not."""
    try:
        if not stat.S_ISREG(target.stat().st_mode):
            return None
        if is_open_here(target):
            # Reading it would drop DuckDB's lock on it.
            return "is open in this very process"
        with target.open("rb") as stream:
            is_database = stream.read(_MAGIC_AT + len(_MAGIC))[_MAGIC_AT:] == _MAGIC
    except PermissionError:
        return "may not be read, so that it might be a database"
    except OSError:
        return None
    return "is a DuckDB database" if is_database else None


def _make_alike(temporary: Path, earlier: os.stat_result) -> None:
    if hasattr(os, "chown"):
        # Only the superuser may give a file away; a group of one's own may be set.
        for owner, group in ((earlier.st_uid, -1), (-1, earlier.st_gid)):
            with suppress(PermissionError):
                os.chown(temporary, owner, group)
    temporary.chmod(earlier.st_mode & _PERMISSIONS)
