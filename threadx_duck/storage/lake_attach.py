"""Prepares a DuckDB connection for a lake: loads the extensions, passes the password, attaches the lake."""

from __future__ import annotations

import logging
from importlib import resources

import duckdb

from threadx_duck.config.address import LakeAddress, is_remote
from threadx_duck.errors import StoreError
from threadx_duck.storage.failures import one_line, open_error
from threadx_duck.storage.lake_failures import INSTALL
from threadx_duck.storage.sqlfiles import literal

# Names in the connection. DuckLake derives the catalog's name from the lake's name.
LAKE = "store"
CATALOG = f"__ducklake_metadata_{LAKE}"

logger = logging.getLogger("threadx_duck.lake")

# DuckDB's name of each extension, and the package that contains it, for machines where DuckDB cannot fetch it.
_EXTENSIONS = {"ducklake": "ducklake", "postgres": "postgres_scanner", "httpfs": "httpfs"}


def load_extensions(connection: duckdb.DuckDBPyConnection, *names: str) -> None:
    """Loads the named extensions, by default those of every lake. Raises `StoreError` that says what to install."""
    for name in names or ("ducklake", "postgres"):
        _load(connection, name)


def attach_lake(
    connection: duckdb.DuckDBPyConnection, address: LakeAddress, name: str, *, read_only: bool, make: bool = False
) -> None:
    """Attaches a lake under a name; ``make`` creates it if it does not exist. Raises `StoreError`."""
    if is_remote(address.data_path):
        _load(connection, "httpfs")
    options = []
    if read_only:
        options.append("read_only")
    if address.data_path:
        options.append(f"data_path {literal(address.data_path)}")
    if not make:
        options.append("create_if_not_exists false")
    if address.password:
        options.append(f"metadata_parameters map {{'SECRET': '{_keep_password(connection, address, name)}'}}")
    written = f" ({', '.join(options)})" if options else ""
    _do(connection, address, f"attach {literal(address.connection)} as {name}{written}")
    if not is_remote(address.data_path) and is_remote(data_path(connection, address, name)):
        _load(connection, "httpfs")


def attach_catalog(connection: duckdb.DuckDBPyConnection, address: LakeAddress) -> None:
    """Attaches only the database of the catalog, under the name it has beside a lake. Raises `StoreError`."""
    secret = f", secret {_keep_password(connection, address, LAKE)}" if address.password else ""
    text = address.connection.removeprefix("ducklake:postgres:")
    _do(connection, address, f"attach {literal(text)} as {CATALOG} (type postgres{secret})")


def _keep_password(connection: duckdb.DuckDBPyConnection, address: LakeAddress, name: str) -> str:
    """Stores the password in a DuckDB secret and returns its name: any query can show the text that is attached."""
    secret = f"catalog_of_{name}"
    password = literal(address.password)
    _do(connection, address, f"create or replace temporary secret {secret} (type postgres, password {password})")
    return secret


def data_path(connection: duckdb.DuckDBPyConnection, address: LakeAddress, name: str) -> str:
    """Returns the folder or address where an attached lake keeps its files."""
    rows = _do(connection, address, f"select data_path from ducklake_settings({literal(name)})")  # noqa: S608
    return str(rows[0][0])


def _load(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    package = _EXTENSIONS[name]
    try:
        folder = resources.files(f"duckdb_extension_{package}") / "extensions"
        file = next(entry / f"{package}.duckdb_extension" for entry in folder.iterdir() if entry.name.startswith("v"))
        connection.load_extension(str(file))
    except (ImportError, StopIteration, duckdb.Error) as error:
        logger.debug("no package brings the extension %s for this DuckDB: %s", name, error)
    else:
        return
    try:
        connection.execute(f"install {name}")
        connection.execute(f"load {name}")
    except duckdb.Error as error:
        raise StoreError(
            f"A lake needs DuckDB's extension {name}, which DuckDB {duckdb.__version__} could not fetch: "
            f"{one_line(error)[:200]} Where there is no network: {INSTALL}"
        ) from error


def _do(connection: duckdb.DuckDBPyConnection, address: LakeAddress, statement: str) -> list[tuple[object, ...]]:
    try:
        return connection.execute(statement).fetchall()
    except duckdb.Error as error:
        # No cause: the statement contains the password, and DuckDB quotes the statement.
        raise open_error(address, error) from None
