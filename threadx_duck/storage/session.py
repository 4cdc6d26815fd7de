"""An open connection to a database: runs the files of ``sql/`` by name, and SQL that somebody typed."""

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
# What is wrong with a statement itself, never with the catalog or the files of a lake.
_OWN_FAULTS = (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException, duckdb.DataError)
_READ_ONLY_BYTES = 2_000_000_000
_INTERRUPTED = "Query interrupted"


@dataclass(frozen=True)
class StoreInfo:
    """What a store says of itself; the ``published_`` fields only of a read copy."""

    schema_version: int
    market: str
    created_at: datetime
    published_at: datetime | None
    published_from: str | None


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
        """Ends the statement that runs, if one does, with `KeyboardInterrupt`; called from another thread."""
        # A connection that was closed meanwhile runs nothing.
        with suppress(duckdb.Error):
            self._connection.interrupt()

    def query(self, name: str, **parameters: Any) -> pa.Table:
        """The rows that ``sql/<name>.sql`` returns. Raises `StoreError` naming the file."""
        file = read_sql(name)
        try:
            with self._interruptible():
                relation = self._connection.sql(file.statement, params=parameters or None)
                return relation.to_arrow_table()
        except duckdb.Error as error:
            raise self._error(file, error) from self._cause(error)

    def check(self, file: SqlFile, symbols: Sequence[str] = ()) -> pa.Table:
        """The rows that a check finds, of some symbols only if any are named. Raises `StoreError` naming the file."""
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
        """Runs ``sql/<name>.sql`` and returns its few rows, if it has any. Raises `StoreError` naming the file."""
        return self._execute(read_sql(name), parameters)

    def define(self, file: SqlFile, *, comment: bool = True, columns: bool = True) -> None:
        """Makes what a schema, macro or view file defines, and comments it, and its columns, from the header."""
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
        # At once: each call into DuckDB waits for the interpreter if other threads are at work.
        self._control(";".join(comments))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside or nothing. Raises `StoreError` if it cannot begin or be committed."""
        self._control("begin transaction")
        try:
            yield
            self._connection.execute("commit")
        except BaseException as error:
            # Where a failed commit has ended the transaction itself, there is nothing to roll back.
            with suppress(duckdb.Error):
                self._connection.execute("rollback")
            if isinstance(error, duckdb.Error):
                raise self._error(None, error) from self._cause(error)
            raise

    @contextmanager
    def rolled_back(self) -> Iterator[None]:
        """A transaction that changes nothing, whatever runs in it. Raises `StoreError` if it cannot begin."""
        self._control("begin transaction")
        try:
            yield
        finally:
            with suppress(duckdb.Error):
                self._connection.execute("rollback")

    @contextmanager
    def tables(self, **tables: pa.Table) -> Iterator[None]:
        """Lets statements read Arrow tables by name; after a failure until the session ends."""
        try:
            for name, table in tables.items():
                self._connection.register(name, table)
        except duckdb.Error as error:
            raise self._error(None, error) from self._cause(error)
        yield
        # Not after a failure: DuckDB refuses everything but the rollback then.
        for name in tables:
            self._connection.unregister(name)

    def allow_folder(self, folder: str) -> None:
        """Lets `query_user_sql` read a folder in which the store's own files lie."""
        self._allowed_folders.append(folder)

    def shut_in(self) -> None:
        """Keeps every statement from here on from files, network, extensions and settings; it cannot be undone.

        They get two gigabytes of memory at most, or what the machine has for DuckDB if that is less.
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
                # The folder of this connection's own statements is in use already, and no select reaches it.
                if not setting.startswith("temp_directory"):
                    raise
            except duckdb.Error as error:
                raise self._error(None, error) from self._cause(error)
        self._is_shut_in = True

    def query_user_sql(self, statement: str) -> pa.Table:
        """The rows of a statement that somebody typed, run as `shut_in` says. Raises `QueryError`."""
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
        """Raises `KeyboardInterrupt` for a statement that was interrupted, in whichever words DuckDB says so."""
        try:
            yield
        except duckdb.InterruptException as error:
            raise KeyboardInterrupt from error
        except KeyboardInterrupt:
            # DuckDB's own threads may still be at the statement, and closing the connection waits for them.
            self.interrupt()
            raise
        except RuntimeError as error:
            # DuckDB's client saw the signal itself and lost what Python's handler had raised.
            if str(error) != _INTERRUPTED:
                raise
            self.interrupt()
            raise KeyboardInterrupt from error

    @staticmethod
    def _only_reads(statement: str) -> bool:
        return {part.type for part in duckdb.extract_statements(statement)} == _READING

    def _memory(self) -> int:
        """How many bytes a statement that somebody else wrote may take."""
        own = self._connection.execute("select parse_formatted_bytes(current_setting('memory_limit'))").fetchall()
        return min(_READ_ONLY_BYTES, int(own[0][0]))

    def _require_check(self, file: SqlFile) -> None:
        """Raises `StoreError` for a check of somebody's own that is more than one select, or that could write."""
        if not self._only_reads(file.statement):
            raise StoreError(f"{file.shown}: a check is one select.")
        if isinstance(self._address, LakeAddress):
            try:
                self._require_reading(file.statement)
            except QueryError as error:
                raise StoreError(f"{file.shown}: {error}") from error

    def _require_reading(self, statement: str) -> None:
        """Raises `QueryError` unless a statement for a lake is one select that can only read.

        DuckDB lets whoever may read a folder write to it too, and functions of its extensions write to a lake
        that is attached for reading only.
        """
        if not self._only_reads(statement):
            raise QueryError("A lake takes one select here; to write a file: threadx query -o FILE.")
        for kind, name in self.run("lake/unknown_sources", statement=statement):
            raise QueryError(
                f"A lake is read here by its tables and views and by functions that read; {name} is a {kind} that "
                "is not among them: docs/lake.md."
            )

    def attach(self, other: Address, name: str) -> None:
        """Lets statements read another store under a name. Raises `StoreError` if it cannot be opened."""
        if isinstance(other, LakeAddress):
            load_extensions(self._connection)
            attach_lake(self._connection, other, name, read_only=True)
            return
        self._do(f"attach {literal(str(other))} as {name} (read_only)", other)

    def detach(self, name: str) -> None:
        """Closes another store that `attach` opened. Raises `StoreError`."""
        self._control(f"detach {name}")

    def limit_memory(self, size: str | None) -> None:
        """Holds the next statements to some memory, such as ``80MB``; None gives back what DuckDB takes by itself."""
        self._control("reset memory_limit" if size is None else f"set memory_limit = {literal(size)}")

    def use_one_thread(self) -> None:
        """Keeps inserted candles in their order: two threads mix it, for 8 % more bytes and no less time."""
        self._control("set threads = 1")

    def load(self, extension: str) -> None:
        """Loads one of DuckDB's extensions. Raises `StoreError` naming what to install."""
        load_extensions(self._connection, extension)

    def copy_table(self, schema: str, table: str, columns: Sequence[tuple[str, str | None]], order: str) -> None:
        """Copies the rows of a table from the database ``old`` to ``new``, in order of some columns if any.

        ``columns`` are its columns with their defaults; one that is computed from others is computed anew.
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
        # DuckDB 1.5 tells it nowhere but in the text of the table's definition.
        try:
            statement = f"insert into new.{table} ({column}) select {column} from old.{table} limit 0"  # noqa: S608
            self._connection.execute(f"explain {statement}")
        except duckdb.BinderException:
            return True
        return False

    def digest(self, database: str, schema: str, table: str) -> tuple[int, int]:
        """How many rows a table has, and a number that is equal for equal rows in any order."""
        name = f"{database}.{identifier(schema)}.{identifier(table)}"
        rows = self._do(f"select count(*), coalesce(sum(hash(row)), 0) from {name} as row", self._address)  # noqa: S608
        return rows[0][0], rows[0][1]

    def checkpoint(self, name: str = "") -> None:
        """Writes what is in the log into the file, or that of a database attached under a name.

        Raises `StoreError`; the log keeps it then.
        """
        self._do(f"checkpoint {name}", self._address)

    def info(self) -> StoreInfo | None:
        """What the store says of itself; None if it is none of this project."""
        try:
            rows = self.run("store/store_info")
        except StoreError as error:
            # To ask for the table's name first would take longer than anything else on a fresh connection.
            if isinstance(error.__cause__, duckdb.CatalogException):
                return None
            raise
        return StoreInfo(*rows[0]) if rows else None

    def _do(self, statement: str, address: Address) -> list[tuple[Any, ...]]:
        """One of the few statements whose names cannot be parameters; ``address`` is the store it is about."""
        try:
            with self._interruptible():
                return self._connection.execute(statement).fetchall()
        except duckdb.Error as error:
            raise open_error(address, error, duckdb.__version__) from self._cause(error)

    def _control(self, statement: str) -> None:
        """A statement that is no file's own: of a transaction, a setting, comments. Raises `StoreError`."""
        try:
            self._connection.execute(statement)
        except duckdb.Error as error:
            raise self._error(None, error) from self._cause(error)

    def _error(self, file: SqlFile | None, error: duckdb.Error) -> StoreError:
        name = file.shown if file else str(self._address)
        return store_error(self._address, error) or StoreError(f"{name}: {self._plain(one_line(error))}")

    def _plain(self, text: str) -> str:
        """A text without the secrets of the store's address."""
        return self._address.scrub(text) if isinstance(self._address, LakeAddress) else text

    def _cause(self, error: duckdb.Error) -> duckdb.Error | None:
        """The error, unless a traceback of it would show a secret."""
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
    """Ends the statement of every session of this process; may be called from any thread."""
    with _open_lock:
        sessions = list(_open)
    for session in sessions:
        session.interrupt()


@contextmanager
def scratch(candles: pa.Table) -> Iterator[Session]:
    """A session on a store in memory that holds some candles and no evidence, for the SQL of this project."""
    with duckdb.connect() as connection:
        prepare(connection)
        session = Session(connection)
        for file in list_definitions():
            session.define(file, comment=False)
        with session.tables(incoming=candles):
            session.run("scratch/insert_scratch")
        yield session


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Sets what every connection needs: times in UTC, nothing drawn on a terminal, and the macros of our statements."""
    connection.execute("set TimeZone = 'UTC'")
    for name in ("session/source_rank", "session/about_equal"):
        connection.execute(read_sql(name).statement)
    # In Jupyter without ipywidgets DuckDB refuses the setting: it has no bar to draw there.
    with suppress(duckdb.InvalidInputException):
        connection.execute("set enable_progress_bar = false")


def _collect(relation: duckdb.DuckDBPyRelation, most: int) -> pa.Table:
    """All rows, unless they are more than a memory should hold at once."""
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
    """Whether a statement failed because a table, view, macro or column that it names is not there."""
    return isinstance(error.__cause__, duckdb.CatalogException | duckdb.BinderException)


def identifier(name: str) -> str:
    """A name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'
