"""Turns errors of a lake into sentences that say what state it is in and what to do.

DuckDB, its extensions and PostgreSQL distinguish their errors by text only; the texts are those of 1.5.
"""

from __future__ import annotations

import re

from threadx_duck.config.address import LakeAddress
from threadx_duck.errors import CONTINUES, NoLakeError, StoreConflictError, StoreError

INSTALL = "pip install 'threadx_duck[lake]'"

# When two transactions begin at once, the later one may fail with this text; it succeeds when repeated.
_CONFLICT = re.compile(
    r"Transaction conflict|TransactionContext Error.*conflict|could not serialize access"
    r"|deadlock detected",
    re.DOTALL,
)

# Pattern of the error text, and its meaning for the lake {lake}, whose catalog is the database {database} at {host}
# for {user}. The first match counts.
_MEANINGS: list[tuple[str, str]] = [
    (
        r"data_path is not set",
        "There is no lake in {lake} yet. Say where its files go: [data.store] data_path, or migrate --data-path.",
    ),
    (
        r"does not match existing data path",
        "The files of {lake} lie elsewhere than at {data_path}. Remove [data.store] data_path: the lake remembers it.",
    ),
    (
        r"password authentication failed|no password supplied",
        "PostgreSQL at {host} refuses the password of {user}. Put the right one into ~/.pgpass, or into the address.",
    ),
    (
        r"database \"[^\"]*\" does not exist",
        "PostgreSQL at {host} has no database {database}. Make it with: createdb {options} {database}",
    ),
    (
        r"role \"[^\"]*\" does not exist",
        (
            "PostgreSQL at {host} knows no user {user}. Make one with: createuser {options} {user}; or name another in "
            "the address."
        ),
    ),
    (
        r"could not translate host name",
        "There is no machine called {host}. Correct the host in the address of the lake.",
    ),
    (
        (
            r"Connection refused|timeout expired|No route to host|Network is unreachable|accepting .*connections"
            r"|the database system is (starting up|shutting down|not yet accepting)"
        ),
        f"PostgreSQL at {{host}} does not answer. Is it running, and may this machine reach it? {CONTINUES}",
    ),
    (
        (
            r"closed the connection|terminating connection|no connection to the server|connection has been closed"
            r"|could not receive data|connection (was|has been) lost|execute query \"(ROLLBACK|COMMIT)\": *$"
            r"|from DuckLake: Current transaction is aborted"
        ),
        f"PostgreSQL at {{host}} ended the connection: it was stopped, or the network failed. {CONTINUES}",
    ),
    (
        r"remaining connection slots|too many clients",
        f"PostgreSQL at {{host}} has no connection left. Raise its max_connections. {CONTINUES}",
    ),
    (
        r"permission denied for|must be owner",
        "PostgreSQL does not let {user} do this in the database {database}: writing needs all rights, reading SELECT.",
    ),
    (
        r"DuckLake catalog version mismatch|Only DuckLake versions",
        "{lake} is of another version than DuckDB's extension here understands. Upgrade: pip install -U duckdb",
    ),
    (
        r"No space left on device|Disk quota exceeded",
        f"A disk is full: {{lake}} cannot grow. Make room first. {CONTINUES}",
    ),
    (
        r"HTTP Error|for HTTP [A-Z]+ to|HTTP \d\d\d|Could not establish connection|Could not connect to server",
        "The object storage of {lake} could not be used: {said}. Its keys come from DuckDB's secrets: docs/lake.md.",
    ),
    (
        r"Cannot open file|No files found|Permission denied|No such file or directory",
        (
            "A file of {lake} cannot be used: {said}. Every machine must reach the data path under the same name. "
            "Is it lost? threadx doctor names every one that is."
        ),
    ),
    (
        (
            r"Could not read enough bytes|Invalid footer|No magic bytes|too small to be a Parquet file"
            r"|TProtocolException|Snappy|ZSTD|corrupt"
        ),
        "A file of {lake} is cut short or damaged: {said}. threadx doctor names every one that has not its size.",
    ),
]


def lake_error(address: LakeAddress, error: Exception) -> StoreError | None:
    """Returns the error for a failure; None if the failure is not about the lake itself."""
    text = address.scrub(str(error))
    if _CONFLICT.search(text):
        return StoreConflictError(f"{address} was changed by another process at the same time. {CONTINUES}")
    host = address.part("host", "localhost")
    port = address.part("port", "")
    options = f"-h {host} -p {port}" if port else f"-h {host}"
    parts = {
        "options": options,
        "lake": address,
        "data_path": address.data_path,
        "host": f"{host}:{port}" if port else host,
        "database": address.part("dbname", "of that user's name"),
        "user": address.part("user", "this user"),
        "said": " ".join(text.split())[:300].rstrip("."),
    }
    if "creating a new DuckLake is explicitly disabled" in text:
        return NoLakeError(
            f"There is no lake in {address} yet. Make one with: threadx ingest SYMBOL --start 2024-01-01"
        )
    for pattern, meaning in _MEANINGS:
        if re.search(pattern, text, re.DOTALL):
            return StoreError(meaning.format(**parts))
    return None
