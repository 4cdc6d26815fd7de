"""The store: one DuckDB file. The only module that talks to DuckDB, one short connection at a time."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from threadx_duck.config import StoreSettings
from threadx_duck.errors import QueryError, StoreError, StoreLockedError, UsageError
from threadx_duck.sqlfiles import SqlFile, list_sql, read_sql
from threadx_duck.times import utc_now

if TYPE_CHECKING:
    import pyarrow as pa

    from threadx_duck.ledger import Batch

SCHEMA_VERSION = 1

# Storage v1.0.0 is readable by every client since DuckDB 1.0, at no cost in size or speed; DuckDB 2.0's
# own default is readable by no client before 2.0.
_STORAGE: dict[str, Any] = {"storage_compatibility_version": "v1.0.0"}

_LOCK_HOLDER = re.compile(r"Conflicting lock is held in (?P<program>.+?) \(PID (?P<pid>\d+)\)")
_READ_ONLY_MEMORY = "2GB"


@dataclass(frozen=True)
class Appended:
    """What became of one request's candles: how many were new, how many replaced or removed stored ones.

    An answer that goes on where a stored one ends has become part of that one's row in the ledger.
    """

    request_id: int
    rows_added: int
    rows_revised: int


class Session:
    """An open connection; runs the files of ``sql/`` by name. Ends with the ``with`` block that made it."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def query(self, name: str, **parameters: Any) -> pa.Table:
        """The rows that ``sql/<name>.sql`` returns. Raises `StoreError` naming the file."""
        file = read_sql(name)
        try:
            relation = self._connection.sql(file.statement, params=parameters or None)
            return relation.to_arrow_table()
        except duckdb.Error as error:
            raise _statement_error(file, error) from error

    def check(self, file: SqlFile, symbols: Sequence[str] = ()) -> pa.Table:
        """The rows that a check finds, of some symbols only if any are named. Raises `StoreError` naming the file."""
        try:
            relation = self._connection.sql(file.statement)
            if symbols:
                wanted = [duckdb.ConstantExpression(symbol) for symbol in symbols]
                relation = relation.filter(duckdb.ColumnExpression("symbol").isin(*wanted))
            return relation.to_arrow_table()
        except duckdb.Error as error:
            raise _statement_error(file, error) from error

    def run(self, name: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """Runs ``sql/<name>.sql`` and returns its few rows, if it has any. Raises `StoreError` naming the file."""
        return self._execute(read_sql(name), parameters)

    def define(self, file: SqlFile, *, comment: bool = True) -> None:
        """Makes what a schema, macro or view file defines, and comments it from the file's header."""
        self._execute(file, {})
        if not comment:
            return
        kind = {"schema": "table", "macros": "macro table", "views": "view"}[file.name.partition("/")[0]]
        self._connection.execute(f"comment on {kind} {file.relation} is {_literal(file.title)}")
        for column, text in file.columns.items() if kind != "macro table" else ():
            self._connection.execute(f"comment on column {file.relation}.{column} is {_literal(text)}")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside or nothing."""
        self._connection.execute("begin transaction")
        try:
            yield
        except BaseException:
            self._connection.execute("rollback")
            raise
        self._connection.execute("commit")

    def attach(self, path: Path, name: str) -> None:
        """Lets statements read another store under a name. Raises `StoreError` if it cannot be opened."""
        try:
            self._connection.execute(f"attach {_literal(str(path))} as {name} (read_only)")
        except duckdb.Error as error:
            raise _open_error(path, error) from error

    @contextmanager
    def tables(self, **tables: pa.Table) -> Iterator[None]:
        """Lets statements read Arrow tables by name; after a failure until the session ends."""
        for name, table in tables.items():
            self._connection.register(name, table)
        yield
        # Not after a failure: DuckDB refuses everything but the rollback then.
        for name in tables:
            self._connection.unregister(name)

    def _execute(self, file: SqlFile, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(file.statement, parameters or None).fetchall()
        except duckdb.Error as error:
            raise _statement_error(file, error) from error


class Store:
    """One DuckDB file of candles.

    The file is open only while a statement or an append runs, so that other processes get in between.
    ``on_wait`` is told, once per wait, that another process holds the file.
    """

    def __init__(self, settings: StoreSettings, on_wait: Callable[[str], None] = lambda _: None) -> None:
        self.path = settings.database
        self._market = settings.market
        self._lock_timeout = settings.lock_timeout_seconds
        self._on_wait = on_wait
        self._turn = threading.RLock()

    @property
    def exists(self) -> bool:
        """Whether there is a file."""
        return self.path.exists()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that sees one state of the store. Raises `StoreError` if there is no store to read."""
        self._require_file()
        with self._turn, self._connected(read_only=True) as connection:
            session = Session(connection)
            self._require_readable(session)
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A session that may write; makes the store, or upgrades its schema, where needed."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"Cannot make the folder {self.path.parent}: {error.strerror}.") from error
        with self._turn, self._connected(read_only=False) as connection:
            session = Session(connection)
            self._ensure_schema(session)
            yield session

    def query(self, name: str, **parameters: Any) -> pa.Table:
        """The rows that ``sql/<name>.sql`` returns, read on a connection of its own."""
        with self.reading() as session:
            return session.query(name, **parameters)

    def require_stored(self, symbols: Collection[str]) -> None:
        """Raises `UsageError` naming the symbols of which nothing is stored."""
        if not symbols:
            return
        with self.reading() as session:
            stored = {row[0] for row in session.run("queries/symbol_spans")}
        unknown = [symbol for symbol in symbols if symbol not in stored]
        if unknown:
            raise UsageError(f"Not stored: {', '.join(unknown)}. Run: threadx ingest {' '.join(unknown)}")

    def query_user_sql(self, statement: str) -> pa.Table:
        """The rows of a statement that somebody typed: it can read this store and do nothing else.

        No file, network, extension or setting is within its reach. Raises `QueryError`.
        """
        self._require_file()
        with self._turn, self._connected(read_only=True) as connection:
            connection.execute(f"set memory_limit = '{_READ_ONLY_MEMORY}'")
            connection.execute("set enable_external_access = false")
            connection.execute("set lock_configuration = true")
            try:
                relation = connection.sql(statement)
                if relation is None:
                    raise QueryError("The statement returns no rows; query is for reading.")
                return relation.to_arrow_table()
            except duckdb.Error as error:
                raise QueryError(_one_line(error)) from error

    def append(self, batches: Sequence[Batch]) -> list[Appended]:
        """Commits answers with all their evidence in one transaction: everything or nothing.

        Where an answer differs from what is stored, the source of higher or equal rank holds and the
        difference is recorded in ``revisions``.
        """
        with self.writing() as session, session.transaction():
            return [row for batch in batches for row in _append(session, batch)]

    def _require_file(self) -> None:
        if not self.exists:
            raise StoreError(
                f"There is no store at {self.path}. Make one with: threadx ingest SYMBOL --start 2024-01-01"
            )

    @contextmanager
    def _connected(self, *, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
        connection = self._connect(read_only=read_only)
        try:
            connection.execute("set TimeZone = 'UTC'")
            connection.execute("set enable_progress_bar = false")
            yield connection
        finally:
            connection.close()

    def _connect(self, *, read_only: bool) -> duckdb.DuckDBPyConnection:
        try:
            return self._open(read_only=read_only)
        except StoreLockedError as error:
            self._on_wait(f"{error} Waiting for up to {self._lock_timeout:g} seconds.")
        # Imported where it is needed: most commands never wait.
        from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

        patience: Retrying = Retrying(
            retry=retry_if_exception_type(StoreLockedError),
            stop=stop_after_delay(self._lock_timeout),
            wait=wait_random_exponential(multiplier=0.02, max=1.0),
            reraise=True,
        )
        return patience(self._open, read_only=read_only)

    def _open(self, *, read_only: bool) -> duckdb.DuckDBPyConnection:
        try:
            return duckdb.connect(str(self.path), read_only=read_only, config=_STORAGE)
        except duckdb.Error as error:
            raise _open_error(self.path, error) from error

    def _ensure_schema(self, session: Session) -> None:
        version = self._schema_version(session)
        if version == SCHEMA_VERSION:
            return
        with session.transaction():
            for folder in ("schema", "macros", "views"):
                for file in list_sql(folder):
                    session.define(file)
            session.run("append/set_store_info", version=SCHEMA_VERSION, market=self._market, now=utc_now())

    def _require_readable(self, session: Session) -> None:
        version = self._schema_version(session)
        if version != SCHEMA_VERSION:
            raise StoreError(
                f"{self.path} holds no candles of threadx_duck."
                if version is None
                else f"{self.path} is of schema {version}; the next ingest upgrades it to {SCHEMA_VERSION}."
            )

    def _schema_version(self, session: Session) -> int | None:
        """The store's version; None for a new file. Raises `StoreError` if it is newer, or of another market."""
        if not session.run("queries/has_store_info")[0][0]:
            return None
        rows = session.run("queries/store_info")
        if not rows:
            return None
        version, market = rows[0]
        if version > SCHEMA_VERSION:
            raise StoreError(
                f"{self.path} was written by a newer threadx_duck (schema {version}, here {SCHEMA_VERSION}). "
                "Upgrade with: pip install -U threadx_duck"
            )
        if market != self._market:
            raise StoreError(
                f"{self.path} holds {market}, but [data.store] market is {self._market}. "
                "One store holds one market: name another database."
            )
        return int(version)


@contextmanager
def scratch(candles: pa.Table) -> Iterator[Session]:
    """A session on a store in memory that holds some candles and no evidence, for the SQL of this project."""
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute("set enable_progress_bar = false")
        session = Session(connection)
        for folder in ("schema", "macros", "views"):
            for file in list_sql(folder):
                session.define(file, comment=False)
        with session.tables(incoming=candles):
            session.run("append/insert_scratch")
        yield session


def _append(session: Session, batch: Batch) -> list[Appended]:
    first, last = _bounds(batch)
    with session.tables(incoming=batch.candles, incoming_rejected=batch.rejected, incoming_requests=batch.requests):
        stored = session.run("append/find_stored", first=first, last=last)[0][0]
        if stored:
            session.run("append/record_revisions")
            session.run("append/remove_replaced", first=first, last=last)
        session.run("append/insert_candles")
        if batch.rejected.num_rows:
            session.run("append/insert_rejected")
        session.run("append/find_continued")
        appended = [Appended(*row) for row in session.run("append/insert_requests")]
    if session.run("append/count_continued")[0][0]:
        # Whoever follows the market adds a minute a time: a row a day is evidence enough, a row a minute a burden.
        session.run("append/continue_candles", first=first, last=last)
        session.run("append/continue_rejected")
        session.run("append/continue_revisions")
        session.run("append/continue_requests")
        session.run("append/delete_continued")
    return appended


def _bounds(batch: Batch) -> tuple[datetime, datetime]:
    firsts, lasts = batch.requests["first_minute"].to_pylist(), batch.requests["last_minute"].to_pylist()
    return min(firsts), max(lasts)


def _open_error(path: Path, error: duckdb.Error) -> StoreError:
    text = str(error)
    if "Could not set lock" in text:
        holder = _LOCK_HOLDER.search(text)
        who = f"{holder['program']} (process {holder['pid']})" if holder else "another process"
        return StoreLockedError(f"{path} is held by {who}; DuckDB lets no other process in meanwhile.")
    if "different configuration" in text or "Unique file handle" in text:
        return StoreError(f"{path} is open in this very process in another mode. Close that connection first.")
    if "not a valid DuckDB database file" in text:
        return StoreError(f"{path} is not a DuckDB database. Name another file: --db, or [data.store] database.")
    if "version number" in text:
        return StoreError(
            f"{path} was written by a newer DuckDB than {duckdb.__version__}. Upgrade: pip install -U duckdb"
        )
    return StoreError(f"Cannot open {path}: {_one_line(error)}")


def _statement_error(file: SqlFile, error: duckdb.Error) -> StoreError:
    return StoreError(f"{file.shown}: {_one_line(error)}")


def _one_line(error: duckdb.Error) -> str:
    """DuckDB's own words without the picture of the statement below them."""
    return " ".join(str(error).partition("\n\nLINE ")[0].split())


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
