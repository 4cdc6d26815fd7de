"""Makes verified copies of the store's file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from threadx_duck.candles.times import utc_now
from threadx_duck.config import StoreSettings
from threadx_duck.disk.posix import copy_stream, hash_file, replace_file, resolved
from threadx_duck.disk.temporaries import temporary_beside
from threadx_duck.disk.whole_files import require_no_log
from threadx_duck.errors import StoreError, UsageError
from threadx_duck.storage.failures import open_error
from threadx_duck.storage.session import identifier
from threadx_duck.storage.store import Store


@dataclass(frozen=True)
class Backup:
    """A verified copy: its path, its size in bytes, and the SHA-256 of its bytes."""

    path: Path
    bytes: int
    sha256: str


def back_up(store: Store, settings: StoreSettings, target: Path) -> Backup:
    """Copies the closed store to a new file and verifies its bytes and that every row can be read.

    If the target is a folder, the file in it is named after the store and the time. Raises `UsageError` if the
    target exists already, `StoreError` if the copy failed; no file is left behind then.
    """
    file = store.file_for("backup")
    if target.is_dir():
        target = target / f"{file.path.stem}-{utc_now():%Y-%m-%dT%H%M%SZ}{file.path.suffix}"
    target = resolved(target)
    require_no_log(target)
    if target.exists():
        raise UsageError(f"{target} is there already; a backup replaces nothing. Name another file, or a folder.")
    try:
        with temporary_beside(target, noted_at=file.path.parent) as temporary:
            with store.closed() as stream:
                sha256 = copy_stream(stream, temporary)
            if hash_file(temporary) != sha256:
                raise StoreError(f"The copy at {target} is not what was written to it. Is that disk failing?")
            _read_through(Store(replace(settings, database=temporary)))
            size = temporary.stat().st_size
            replace_file(temporary, target, like=file.path)
    except OSError as error:
        raise open_error(target, error) from error
    return Backup(target, size, sha256)


def _read_through(copy: Store) -> None:
    """Reads every row of every table. Raises `StoreError` if one cannot be read."""
    with copy.reading() as session:
        name = session.run("backup/current_database")[0][0]
        for schema, table in session.run("compact/list_tables", database=name):
            session.digest(identifier(name), schema, table)
