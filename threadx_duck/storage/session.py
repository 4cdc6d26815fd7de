"""An open connection to a database: runs the files of ``sql/`` by name, and SQL that a user typed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import duckdb

from threadx_duck.config.address import Address, LakeAddress
from threadx_duck.errors import QueryError, StoreError
from threadx_duck.storage.failures import one_line, open_error, store_error
from threadx_duck.storage.lake_attach import attach_lake, load_extensions
from threadx_duck.storage.sqlfiles import SqlFile, list_definitions, literal, read_sql

if TYPE_CHECKING:
    import pyarrow as pa

_READING = {duckdb.StatementType.SELECT}
# Errors of the statement itself, never of the catalog or the files of a lake.
_OWN_FAULTS = (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException, duckdb.DataError)
_READ_ONLY_BYTES = 2_000_000_000
_INTERRUPTED = "Query interrupted"


@dataclass(frozen=True)
class StoreInfo:
    """What a store records about itself; only a read copy has the ``published_`` fields."""

    schema_version: int
    market: str
    created_at: datetime
    published_at: datetime | None
    published_from: str | None


# With parameters, `sql` of DuckDB 1.5 runs the whole statement while no other Python thread can run, and reads five
# million rows 50 times slower than `execute`. From 2.0 on `execute` warns of an extra copy.
_RUNS_IN_SQL = duckdb.__version__ < "2"


class Session:
    """An open connection; runs the files of ``sql/`` by name. Ends with the ``with`` block that made it."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, address: Address = Path(":memory:")) -> None:
        self._connection = connection
        self._address = address
        self._allowed_folders: list[str] = []
        self._is_shut_in = False
        with _open_lock:
            _open.add(self)

    def interrupt(self) -> None:
        """Ends the running statement, if any, with `KeyboardInterrupt`; another thread calls this."""
        # The connection may be closed by now.
        with suppress(duckdb.Error):
            self._connection.interrupt()

    def query(self, name: str, **parameters: Any) -> pa.Table:
        """Returns the rows of ``sql/<name>.sql``. Raises `StoreError` that names the file."""
        file = read_sql(name)
        try:
            with self._interruptible():
                if _RUNS_IN_SQL and parameters:
                    return self._connection.execute(file.statement, parameters).to_arrow_table()
                return self._connection.sql(file.statement, params=parameters or None).to_arrow_table()
        except duckdb.Error as error:
            raise self._error(file, error) from self._cause(error)

    def check(self, file: SqlFile, symbols: Sequence[str] = ()) -> pa.Table:
        """Returns the rows that a check finds, for some or all symbols. Raises `StoreError` that names the file."""
        try:
            with self._interruptible():
                if self._is_shut_in:
                    self._require_check(file)
                relation = self._connection.sql(file.statement)
                if symbols:
                    wanted = [duckdb.ConstantExpression(symbol) for symbol in symbols]
                    relation = relation.filter(duckdb.ColumnExpression("symbol").isin(*wanted))
                return relation.to_arrow_table()
        except duckdb.Error as error:
            raise self._error(file, error) from self._cause(error)

    def run(self, name: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """Runs ``sql/<name>.sql`` and returns its few rows, if any. Raises `StoreError` that names the file."""
        return self._execute(read_sql(name), parameters)

    def define(self, file: SqlFile, *, comment: bool = True, columns: bool = True) -> None:
        """Creates the table, macro or view of a file, and stores the header as comments on it and on its columns."""
        self._execute(file, {})
        if not comment:
            return
        kind = {"schema": "table", "macros": "macro table", "views": "view"}[file.folder]
        comments = [f"comment on {kind} {file.relation} is {literal(file.title)}"]
        if columns and kind != "macro table":
            comments += [
                f"comment on column {file.relation}.{column} is {literal(text)}"
                for column, text in file.columns.items()
            ]
        # In one call: each call into DuckDB waits for the interpreter while other threads work.
        self._control(";".join(comments))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Runs the block as one transaction: everything or nothing. Raises `StoreError` if begin or commit fails."""
        self._control("begin transaction")
        try:
            yield
            self._connection.execute("commit")
        except BaseException as error:
            # A failed commit may have ended the transaction already; then the rollback fails.
            with suppress(duckdb.Error):
                self._connection.execute("rollback")
            if isinstance(error, duckdb.Error):
                raise self._error(None, error) from self._cause(error)
            raise

    @contextmanager
    def rolled_back(self) -> Iterator[None]:
        """Runs the block as a transaction that is always rolled back. Raises `StoreError` if it cannot begin."""
        self._control("begin transaction")
        try:
            yield
        finally:
            with suppress(duckdb.Error):
                self._connection.execute("rollback")

    @contextmanager
    def tables(self, **tables: pa.Table) -> Iterator[None]:
        """Lets statements in the block read Arrow tables by name; after an error, until the session ends."""
        try:
            for name, table in tables.items():
                self._connection.register(name, table)
        except duckdb.Error as error:
            raise self._error(None, error) from self._cause(error)
        yield
        # Not after an error: DuckDB then refuses everything but the rollback.
        for name in tables:
            self._connection.unregister(name)

    def allow_folder(self, folder: str) -> None:
        """Lets `query_user_sql` read a folder that contains the store's own files."""
        self._allowed_folders.append(folder)

    def shut_in(self) -> None:
        """Blocks files, network, extensions and settings for every later statement; this cannot be undone.

        Later statements get at most two gigabytes of memory, or DuckDB's limit on this machine if that is less.
        """
        for setting in (
            f"memory_limit = '{self._memory()}B'",
            "temp_directory = ''",
            *(f"allowed_directories = [{literal(folder)}]" for folder in self._allowed_folders),
            "enable_external_access = false",
            "lock_configuration = true",
        ):
            try:
                self._connection.execute(f"set {setting}")
            except duckdb.NotImplementedException:
                # DuckDB refuses a new temp_directory once it has used the old one; no select can reach that folder.
                if not setting.startswith("temp_directory"):
                    raise
            except duckdb.Error as error:
                raise self._error(None, error) from self._cause(error)
        self._is_shut_in = True

    def query_user_sql(self, statement: str) -> pa.Table:
        """Returns the rows of a statement that a user typed, run after `shut_in`. Raises `QueryError`, `StoreError`."""
        self.shut_in()
        try:
            if isinstance(self._address, LakeAddress):
                self._require_reading(statement)
            with self._interruptible():
                relation = self._connection.sql(statement)
                if relation is None:
                    raise QueryError("The statement returns no rows; query is for reading.")
                return _collect(relation, self._memory())
        except duckdb.Error as error:
            if isinstance(self._address, LakeAddress) and not isinstance(error, _OWN_FAULTS):
                failure = store_error(self._address, error)
                if failure is not None:
                    raise failure from self._cause(error)
            raise QueryError(self._plain(one_line(error))) from self._cause(error)

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Raises `KeyboardInterrupt` for an interrupted statement, for every way in which DuckDB reports it."""
        try:
            yield
        except duckdb.InterruptException as error:
            raise KeyboardInterrupt from error
        except KeyboardInterrupt:
            # DuckDB's threads may still run the statement, and closing the connection would wait for them.
            self.interrupt()
            raise
        except RuntimeError as error:
            # DuckDB's client handled the signal itself and lost the exception of Python's handler.
            if str(error) != _INTERRUPTED:
                raise
            self.interrupt()
            raise KeyboardInterrupt from error

    @staticmethod
    def _only_reads(statement: str) -> bool:
        return {part.type for part in duckdb.extract_statements(statement)} == _READING

    def _memory(self) -> int:
        """Returns the memory limit in bytes for a statement that a user wrote."""
        own = self._connection.execute("select parse_formatted_bytes(current_setting('memory_limit'))").fetchall()
        return min(_READ_ONLY_BYTES, int(own[0][0]))

    def _require_check(self, file: SqlFile) -> None:
        """Raises `StoreError` for a user's check that is more than one select, or that could write."""
        if not self._only_reads(file.statement):
            raise StoreError(f"{file.shown}: a check is one select.")
        if isinstance(self._address, LakeAddress):
            try:
                self._require_reading(file.statement)
            except QueryError as error:
                raise StoreError(f"{file.shown}: {error}") from error

    def _require_reading(self, statement: str) -> None:
        """Raises `QueryError` unless a statement for a lake is one select that can only read.

        DuckDB allows writing to every folder that a session may read, and functions of its extensions can write
        to a lake that is attached read-only.
        """
        if not self._only_reads(statement):
            raise QueryError("A lake takes one select here; to write a file: threadx query -o FILE.")
        for kind, name in self.run("lake/unknown_sources", statement=statement):
            raise QueryError(
                f"A lake is read here by its tables and views and by functions that read; {name} is a {kind} that "
                "is not among them: docs/lake.md."
            )

    def attach(self, other: Address, name: str) -> None:
        """Attaches another store, read-only, under a name. Raises `StoreError` if it cannot be opened."""
        if isinstance(other, LakeAddress):
            load_extensions(self._connection)
            attach_lake(self._connection, other, name, read_only=True)
            return
        self._do(f"attach {literal(str(other))} as {name} (read_only)", other)

    def detach(self, name: str) -> None:
        """Closes a store that `attach` opened. Raises `StoreError`."""
        self._control(f"detach {name}")

    def limit_memory(self, size: str | None) -> None:
        """Limits the memory of the next statements, such as ``80MB``; None restores DuckDB's default."""
        self._control("reset memory_limit" if size is None else f"set memory_limit = {literal(size)}")

    def use_one_thread(self) -> None:
        """Keeps inserted candles in order. Two threads would mix them, which takes 8 % more bytes and saves no time."""
        self._control("set threads = 1")

    def load(self, extension: str) -> None:
        """Loads one of DuckDB's extensions. Raises `StoreError` that says what to install."""
        load_extensions(self._connection, extension)

    def copy_table(self, schema: str, table: str, columns: Sequence[tuple[str, str | None]], order: str) -> None:
        """Copies the rows of a table from the database ``old`` to ``new``, sorted by ``order`` unless it is empty.

        ``columns`` are its columns with their defaults; generated columns are not copied but computed again.
        """
        name = f"{identifier(schema)}.{identifier(table)}"
        kept = [
            identifier(column)
            for column, default in columns
            if default is None or not self._is_generated(name, identifier(column))
        ]
        listed = ", ".join(kept)
        statement = f"insert into new.{name} ({listed}) select {listed} from old.{name}"  # noqa: S608
        self._do(statement + (f" order by {order}" if order else ""), self._address)

    def _is_generated(self, table: str, column: str) -> bool:
        # DuckDB 1.5 shows this nowhere but in the text of the table's definition.
        try:
            statement = f"insert into new.{table} ({column}) select {column} from old.{table} limit 0"  # noqa: S608
            self._connection.execute(f"explain {statement}")
        except duckdb.BinderException:
            return True
        return False

    def digest(self, database: str, schema: str, table: str) -> tuple[int, int]:
        """Returns the number of rows of a table, and a checksum that does not depend on their order."""
        name = f"{database}.{identifier(schema)}.{identifier(table)}"
        rows = self._do(f"select count(*), coalesce(sum(hash(row)), 0) from {name} as row", self._address)  # noqa: S608
        return rows[0][0], rows[0][1]

    def checkpoint(self, name: str = "") -> None:
        """Writes the log into the file; ``name`` is that of an attached database, by default the main one.

        Raises `StoreError`; the log then keeps its commits.
        """
        self._do(f"checkpoint {name}", self._address)

    def info(self) -> StoreInfo | None:
        """Returns what the store records about itself; None if it is not a store of this project."""
        try:
            rows = self.run("store/store_info")
        except StoreError as error:
            # Not checked in advance: a look for the table would be the slowest step on a new connection.
            if isinstance(error.__cause__, duckdb.CatalogException):
                return None
            raise
        return StoreInfo(*rows[0]) if rows else None

    def _do(self, statement: str, address: Address) -> list[tuple[Any, ...]]:
        """Runs one of the few statements whose names cannot be parameters; errors name the store at ``address``."""
        try:
            with self._interruptible():
                return self._connection.execute(statement).fetchall()
        except duckdb.Error as error:
            raise open_error(address, error, duckdb.__version__) from self._cause(error)

    def _control(self, statement: str) -> None:
        """Runs a statement that has no file: for a transaction, a setting or comments. Raises `StoreError`."""
        try:
            self._connection.execute(statement)
        except duckdb.Error as error:
            raise self._error(None, error) from self._cause(error)

    def _error(self, file: SqlFile | None, error: duckdb.Error) -> StoreError:
        name = file.shown if file else str(self._address)
        return store_error(self._address, error) or StoreError(f"{name}: {self._plain(one_line(error))}")

    def _plain(self, text: str) -> str:
        """Returns the text without the secrets of the store's address."""
        return self._address.scrub(text) if isinstance(self._address, LakeAddress) else text

    def _cause(self, error: duckdb.Error) -> duckdb.Error | None:
        """Returns the error, or None if its traceback would show a secret."""
        return error if self._plain(str(error)) == str(error) else None

    def _execute(self, file: SqlFile, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        try:
            with self._interruptible():
                return self._connection.execute(file.statement, parameters or None).fetchall()
        except duckdb.Error as error:
            raise self._error(file, error) from self._cause(error)


_open: WeakSet[Session] = WeakSet()
_open_lock = Lock()


def interrupt_all() -> None:
    """Ends the running statement of every session of this process. Any thread may call it."""
    with _open_lock:
        sessions = list(_open)
    for session in sessions:
        session.interrupt()


@contextmanager
def scratch(candles: pa.Table) -> Iterator[Session]:
    """Yields a session on a store in memory that holds only these candles, no evidence, for this project's SQL."""
    with duckdb.connect() as connection:
        prepare(connection)
        session = Session(connection)
        for file in list_definitions():
            session.define(file, comment=False)
        with session.tables(incoming=candles):
            session.run("scratch/insert_scratch")
        yield session


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Sets what every connection needs: UTC times, no progress bar, and the macros that our statements use."""
    connection.execute("set TimeZone = 'UTC'")
    for name in ("session/source_rank", "session/about_equal", "session/percent_complete"):
        connection.execute(read_sql(name).statement)
    # In Jupyter without ipywidgets, DuckDB refuses the setting, because it cannot draw a bar there.
    with suppress(duckdb.InvalidInputException):
        connection.execute("set enable_progress_bar = false")


def _collect(relation: duckdb.DuckDBPyRelation, most: int) -> pa.Table:
    """Returns all rows. Raises `QueryError` if they are larger than ``most`` bytes."""
    import pyarrow as pa

    reader = relation.to_arrow_reader()
    batches, size = [], 0
    for batch in reader:
        size += batch.nbytes
        if size > most:
            raise QueryError(f"The result is larger than {most / 1e9:.2g}GB. Add a where or a limit.")
        batches.append(batch)
    return pa.Table.from_batches(batches, reader.schema)


def is_absence(error: Exception) -> bool:
    """Returns True if a statement failed because it names a table, view, macro or column that does not exist."""
    return isinstance(error.__cause__, duckdb.CatalogException | duckdb.BinderException)


def identifier(name: str) -> str:
    """Returns a name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
