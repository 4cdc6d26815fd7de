"""Keeps the store's file in shape: rewrites it compactly, and makes verified copies of it."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from threadx_duck.config import StoreSettings
from threadx_duck.errors import StoreError, UsageError
from threadx_duck.losses import require_whole
from threadx_duck.session import Session, identifier
from threadx_duck.store import Store
from threadx_duck.store_errors import open_error
from threadx_duck.storefile import copy_stream, hash_file, replace_file, resolved, stranger
from threadx_duck.temporaries import temporary_beside
from threadx_duck.times import utc_now
from threadx_duck.whole_files import require_no_log

if TYPE_CHECKING:
    from threadx_duck.lake import Lake

# Tables whose rows are found by these columns; in this order a reader of one symbol touches few blocks.
_ORDERS = {"candles_1m": "symbol, open_time", "native_candles": "symbol, timeframe, open_time"}


@dataclass(frozen=True)
class Compacted:
    """What a compaction did, in bytes; ``files`` count those of a lake's current state."""

    bytes_before: int
    bytes_after: int
    files_before: int = 1
    files_after: int = 1


@dataclass(frozen=True)
class Backup:
    """A verified copy: where, how large, and the SHA-256 of its bytes."""

    path: Path
    bytes: int
    sha256: str


def compact(store: Store) -> Compacted:
    """Rewrites the store's file without freed blocks, its candles in order of symbol and time.

    Everything in it is kept: tables, views, macros and comments, also those of other people. Both files
    are compared row by row before the new one takes the old one's place, in one step; writers wait
    meanwhile, readers do not. A lake is compacted by its own means, and nobody waits.
    Raises `StoreError`, also for a lake that has lost a file; the store is as it was then.
    """
    if store.lake is not None:
        return _compact_lake(store, store.lake)
    store.upgrade_first()
    before = store.path.stat().st_size if store.exists else 0
    try:
        _require_own(store)
        with temporary_beside(store.path) as temporary, store.rewriting(temporary) as session:
            _rewrite(session)
            session.attach(temporary, "new")
            _require_same(store, session)
            session.run("maintenance/detach_new")
            if sys.platform == "win32":
                # No file is replaced there while it is open; the replacing fails if a writer opens it meanwhile.
                session.run("maintenance/detach_old")
            # While the old file is still held: a writer that waits for it finds the new one.
            replace_file(temporary, store.path)
    except OSError as error:
        raise open_error(store.path, error) from error
    return Compacted(before, store.path.stat().st_size)


def _compact_lake(store: Store, lake: Lake) -> Compacted:
    # Of a file that is lost nothing below would say a word. A session tells whether it is a store of this project.
    require_whole(store, lake)
    store.upgrade_first()
    with store.reading():
        files_before, before = lake.files()
    lake.compact()
    files_after, after = lake.files()
    return Compacted(before, after, files_before, files_after)


def back_up(store: Store, settings: StoreSettings, target: Path) -> Backup:
    """Copies the closed store to a new file and verifies it: its bytes, and that every row can be read.

    A folder gets a file named after the store and the time. Raises `UsageError` if the target is there
    already, `StoreError` if the copy failed; nothing is left behind then.
    """
    if store.lake is not None:
        raise UsageError(
            f"{store.name} is not one file. Its backup is pg_dump of the catalog, then a copy of the files under "
            f"{store.lake.data_path()}; or threadx migrate PATH, which makes one file of it."
        )
    if target.is_dir():
        target = target / f"{store.path.stem}-{utc_now():%Y-%m-%dT%H%M%SZ}{store.path.suffix}"
    target = resolved(target)
    require_no_log(target)
    if target.exists():
        raise UsageError(f"{target} is there already; a backup replaces nothing. Name another file, or a folder.")
    try:
        with temporary_beside(target, noted_at=store.path.parent) as temporary:
            with store.closed() as stream:
                sha256 = copy_stream(stream, temporary)
            if hash_file(temporary) != sha256:
                raise StoreError(f"The copy at {target} is not what was written to it. Is that disk failing?")
            _read_through(Store(replace(settings, database=temporary)))
            size = temporary.stat().st_size
            replace_file(temporary, target, like=store.path)
    except OSError as error:
        raise open_error(target, error) from error
    return Backup(target, size, sha256)


def _require_own(store: Store) -> None:
    """Raises `StoreError` if the rewritten file could not belong to whom the store belongs."""
    owner = stranger(store.path) if store.exists else None
    if owner is not None:
        raise StoreError(
            f"{store.name} belongs to user {owner}, and rewritten here it would be yours. "
            "Run threadx compact as that user, or as root."
        )


def _rewrite(session: Session) -> None:
    session.run("maintenance/copy_schema")
    for schema, table in _in_order(session):
        columns = session.run("maintenance/list_columns", database="old", schema=schema, table=table)
        session.copy_table(schema, table, columns, _ORDERS.get(table, "") if schema == "main" else "")
    session.run("maintenance/checkpoint_new")
    session.run("maintenance/detach_new")


def _in_order(session: Session) -> list[tuple[str, str]]:
    """Every table after those that its foreign keys refer to."""
    waiting = session.run("maintenance/list_tables", database="old")
    references = session.run("maintenance/list_references", database="old")
    ordered: list[tuple[str, str]] = []
    while waiting:
        names = {table for _, table in waiting}
        blocked = {(schema, table) for schema, table, other in references if other in names}
        free = [entry for entry in waiting if entry not in blocked] or waiting
        ordered += free
        waiting = [entry for entry in waiting if entry not in free]
    return ordered


def _require_same(store: Store, session: Session) -> None:
    """Raises `StoreError` unless the new file holds just what the old one does."""
    old, new = (session.run("maintenance/list_objects", database=name) for name in ("old", "new"))
    differing = sorted({row[2] for row in {*old} ^ {*new}})
    for schema, table in session.run("maintenance/list_tables", database="old"):
        if session.digest("old", schema, table) != session.digest("new", schema, table):
            differing.append(table)
    if differing:
        raise StoreError(f"The rewritten file differs from {store.path} in {', '.join(differing)}; it was dropped.")


def _read_through(copy: Store) -> None:
    """Reads every row of every table. Raises `StoreError` if one cannot be read."""
    with copy.reading() as session:
        name = session.run("maintenance/current_database")[0][0]
        for schema, table in session.run("maintenance/list_tables", database=name):
            session.digest(identifier(name), schema, table)
