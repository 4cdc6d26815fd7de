"""Runs checks: SQL files that return the rows that break a rule."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from threadx_duck.errors import SqlFileError, UsageError
from threadx_duck.storage.sqlfiles import SqlFile, list_sql, parse_sql
from threadx_duck.storage.store import Session, Store, stored_among


class Finding(NamedTuple):
    """The result of one check: ``rows`` holds ``symbol``, ``open_time`` (UTC) and the evidence of each fault."""

    name: str
    description: str
    rows: pa.Table


def run_checks(store: Store, symbols: Sequence[str] = (), folder: Path | None = None) -> list[Finding]:
    """Runs every check, and the user's own checks in ``folder``, on one state of the store.

    No symbols means every stored symbol. Like `Store.query_user_sql`, the user's own checks can read this store and
    nothing else. Raises `SqlFileError` or `StoreError` naming the file that cannot be read or run, `UsageError` for
    a symbol that is not stored.
    """
    files, own = list_sql("checks"), list_checks(folder) if folder else []
    if folder is None:
        with store.reading() as session:
            chosen = stored_among(session, symbols)
            return [_run(session, file, chosen) for file in files]
    with store.sandboxed() as session:
        chosen = stored_among(session, symbols)
        findings = [_run(session, file, chosen) for file in files]
        # Other people wrote these checks: they may read this store and nothing else.
        session.shut_in()
        return findings + [_run(session, file, chosen) for file in own]


def _run(session: Session, file: SqlFile, symbols: Sequence[str]) -> Finding:
    return Finding(file.relation, file.title, session.check(file, symbols))


def list_checks(folder: Path) -> list[SqlFile]:
    """Returns the checks in a folder, sorted by name.

    Raises `UsageError` if the folder has none, `SqlFileError` for a malformed one.
    """
    paths = sorted(folder.glob("*.sql"))
    if not paths:
        raise UsageError(f"{folder} holds no .sql files.")
    try:
        return [parse_sql(path.stem, path.read_text(encoding="utf-8"), shown=str(path)) for path in paths]
    except (OSError, UnicodeDecodeError) as error:
        raise SqlFileError(f"Cannot read the checks in {folder}: {error}.") from error
