"""Turns errors of the database into sentences that say what state it is in and what to do.

DuckDB distinguishes its errors by text only; the texts are those of 1.5 and 2.0.
"""

from __future__ import annotations

import re
from pathlib import Path

from threadx_duck.config.address import Address, LakeAddress
from threadx_duck.errors import CONTINUES, StoreError, StoreLockedError
from threadx_duck.storage.lake_failures import lake_error

_LOCK_HOLDER = re.compile(r"Conflicting lock is held in (?P<program>.+?) \(PID (?P<pid>\d+)\)")
_RESTORE = "Put a backup in its place (threadx backup --help), or move it away and ingest again."

# Pattern of the error text of DuckDB or the operating system, and its meaning for the file at {path}. The first
# match counts.
_MEANINGS: list[tuple[str, str]] = [
    (
        r"No space left on device|File too large|Disk quota exceeded|max_temp_directory_size",
        f"The disk is full: {{path}} cannot grow. Make room first. {CONTINUES}",
    ),
    (
        r"Could not read enough bytes",
        f"{{path}} is cut short: a part of it is missing. {_RESTORE}",
    ),
    (
        r"replaying WAL file",
        f"{{path}}.wal does not fit {{path}}, or is damaged: it holds commits that the file lacks. {_RESTORE}",
    ),
    (
        r"Corrupt database file|checksum",
        f"{{path}} is damaged: a block of it is not what was written. {_RESTORE}",
    ),
    (
        r"Read-only file system",
        "{path} lies on a file system that is mounted read-only. Name another: --db, or [data.store] database.",
    ),
    (
        r"Permission denied|Operation not permitted",
        "Permission denied: {path}. Writing needs write access to the file and to its folder.",
    ),
    (
        r"Is a directory",
        "{path} is a folder. Name a file: --db, or [data.store] database.",
    ),
    (
        r"not a valid DuckDB database file",
        f"{{path}} is not a DuckDB database. Name another file: --db, or [data.store] database. Was it one? {_RESTORE}",
    ),
    (
        r"version number",
        "{path} was written by a newer DuckDB than {version}. Upgrade: pip install -U duckdb",
    ),
    (
        r"database does not exist|No such file or directory",
        "There is no store at {path}. Make one with: threadx ingest SYMBOL --start 2024-01-01",
    ),
    (
        r"different configuration|Unique file handle|already attached",
        "{path} is open in this very process in another mode. Close that connection first.",
    ),
    (
        r"Out of Memory|bad allocation|std::bad_alloc",
        "There is not enough memory for this. Name a shorter range or fewer symbols, or close other programs.",
    ),
]


def store_error(path: Address, error: Exception, *, version: str = "") -> StoreError | None:
    """Returns the error for a failure of DuckDB or the operating system; None if it is not about the store."""
    if isinstance(path, LakeAddress):
        return lake_error(path, error)
    text = str(error)
    # The second text is that of Windows.
    if "Could not set lock" in text or "used by another process" in text:
        holder = _LOCK_HOLDER.search(text)
        who = f"{holder['program']} (process {holder['pid']})" if holder else "another process"
        return StoreLockedError(f"{path} is held by {who}; DuckDB lets no other process in meanwhile.")
    for pattern, meaning in _MEANINGS:
        if re.search(pattern, text):
            return StoreError(meaning.format(path=path, version=version))
    return None


def open_error(path: Address, error: Exception, version: str = "") -> StoreError:
    """Returns an error that says why the file or lake cannot be opened, copied or replaced."""
    reason = error.strerror or str(error) if isinstance(error, OSError) else one_line(error)
    if isinstance(path, LakeAddress):
        reason = path.scrub(reason)
    return store_error(path, error, version=version) or StoreError(f"Cannot use {path}: {reason}")


def moved_error(path: Path) -> StoreError:
    """Returns the error for a file that was moved, deleted or replaced while this process wrote to it."""
    return StoreError(
        f"{path} was moved, deleted or replaced while it was open here: the last batch went to the file that "
        "was moved, not to the one that lies there now. Put the right file there; the same command continues."
    )


def one_line(error: Exception) -> str:
    """Returns DuckDB's message on one line, without the excerpt of the statement below it."""
    return " ".join(str(error).partition("\n\nLINE ")[0].split())
