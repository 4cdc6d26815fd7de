"""Rewrites the store's file without freed blocks, or compacts a lake with DuckLake's own functions."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from threadx_duck.disk.posix import replace_file, stranger
from threadx_duck.disk.temporaries import temporary_beside
from threadx_duck.errors import StoreError
from threadx_duck.storage.failures import open_error
from threadx_duck.storage.session import Session
from threadx_duck.storage.store import Store
from threadx_duck.upkeep.losses import require_whole

# Tables and the columns to sort them by; in this order, reading one symbol touches few blocks.
_ORDERS = {"candles_1m": "symbol, open_time", "native_candles": "symbol, timeframe, open_time"}


@dataclass(frozen=True)
class Compacted:
    """The size before and after a compaction, in bytes.

    ``files`` is the number of files in a lake's current state before and after; None for a store in one file.
    """

    bytes_before: int
    bytes_after: int
    files: tuple[int, int] | None = None


def compact(store: Store) -> Compacted:
    """Rewrites the store's file without freed blocks, its candles in order of symbol and time.

    All tables, views, macros and comments in it are kept, also those of other people. Both files are compared row by
    row before the new one replaces the old one in one step. Writers wait meanwhile, readers do not. A lake is
    compacted with DuckLake's own functions, and nobody waits. Raises `StoreError`, also for a lake that has lost a
    file; the store is unchanged then.
    """
    return _COMPACT[store.kind](store)


def _compact_file(store: Store) -> Compacted:
    store.upgrade_first()
    before = store.path.stat().st_size if store.exists else 0
    try:
        _require_own(store)
        with temporary_beside(store.path) as temporary, store.rewriting(temporary) as session:
            _rewrite(session)
            session.attach(temporary, "new")
            _require_same(store, session)
            session.detach("new")
            if sys.platform == "win32":
                # Windows replaces no file that is open; the replacement fails if a writer opens it meanwhile.
                session.detach("old")
            # Done while the old file is still held, so that a waiting writer opens the new one.
            replace_file(temporary, store.path)
    except OSError as error:
        raise open_error(store.path, error) from error
    return Compacted(before, store.path.stat().st_size)


def _compact_lake(store: Store) -> Compacted:
    # Nothing below would report a lost file. Opening a session checks that the lake is a store of this project.
    require_whole(store)
    lake = store.lake
    store.upgrade_first()
    with store.reading():
        files_before, before = lake.files()
    lake.compact()
    files_after, after = lake.files()
    return Compacted(before, after, (files_before, files_after))


def _require_own(store: Store) -> None:
    """Raises `StoreError` if the rewritten file could not have the same owner as the store."""
    owner = stranger(store.path) if store.exists else None
    if owner is not None:
        raise StoreError(
            f"{store.name} belongs to user {owner}, and rewritten here it would be yours. "
            "Run threadx compact as that user, or as root."
        )


def _rewrite(session: Session) -> None:
    session.run("compact/copy_schema")
    for schema, table in _in_order(session):
        columns = session.run("compact/list_columns", database="old", schema=schema, table=table)
        session.copy_table(schema, table, columns, _ORDERS.get(table, "") if schema == "main" else "")
    session.checkpoint("new")
    session.detach("new")


def _in_order(session: Session) -> list[tuple[str, str]]:
    """Returns all tables, each after the tables that its foreign keys refer to."""
    waiting = session.run("compact/list_tables", database="old")
    references = session.run("compact/list_references", database="old")
    ordered: list[tuple[str, str]] = []
    while waiting:
        names = {table for _, table in waiting}
        blocked = {(schema, table) for schema, table, other in references if other in names}
        free = [entry for entry in waiting if entry not in blocked] or waiting
        ordered += free
        waiting = [entry for entry in waiting if entry not in free]
    return ordered


def _require_same(store: Store, session: Session) -> None:
    """Raises `StoreError` unless the new file has exactly the content of the old one."""
    old, new = (session.run("compact/list_objects", database=name) for name in ("old", "new"))
    differing = sorted({row[2] for row in {*old} ^ {*new}})
    for schema, table in session.run("compact/list_tables", database="old"):
        if session.digest("old", schema, table) != session.digest("new", schema, table):
            differing.append(table)
    if differing:
        raise StoreError(f"The rewritten file differs from {store.path} in {', '.join(differing)}; it was dropped.")


_COMPACT = {"file": _compact_file, "lake": _compact_lake}
