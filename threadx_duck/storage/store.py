"""The store: candles and the evidence for them, in one DuckDB file, or in a lake that many machines share."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import duckdb

from threadx_duck.config import StoreSettings
from threadx_duck.errors import QueryError, StoreError
from threadx_duck.storage import schema
from threadx_duck.storage.backend import Kind, Purpose, open_backend
from threadx_duck.storage.failures import open_error
from threadx_duck.storage.session import Session, StoreInfo, is_absence, scratch
from threadx_duck.texts.symbols import not_stored, read_symbols

if TYPE_CHECKING:
    import pyarrow as pa

    from threadx_duck.storage.file import Database
    from threadx_duck.storage.lake import Lake

__all__ = ["Session", "Store", "StoreInfo", "scratch", "stored_among"]

Result = TypeVar("Result")


class Store:
    """Candles and their evidence, in a file or in a lake.

    A file is open only while a statement or an append runs, so that other processes can use it in between.
    ``on_wait`` is called once per wait, with a message that another process holds the file or changes the same
    symbols.
    """

    def __init__(self, settings: StoreSettings, on_wait: Callable[[str], None] = lambda _: None) -> None:
        self.address = settings.database
        self._market = settings.market
        self._backend = open_backend(settings, on_wait)
        self._upgrades = False

    @property
    def name(self) -> str:
        """The name of the store in messages: its path, or its address without secrets."""
        return str(self.address)

    @property
    def kind(self) -> Kind:
        """``file`` or ``lake``."""
        return self._backend.kind

    @property
    def keeps_order(self) -> bool:
        """True if rows stay in the order of insertion, so that the caller has to insert them sorted."""
        return self._backend.keeps_order

    @property
    def is_near(self) -> bool:
        """True if the store is on this machine, so that a query waits for no network."""
        return self._backend.is_near

    @property
    def path(self) -> Path:
        """The path of the file. Raises `UsageError` if the store is a lake."""
        return self.file.path

    @property
    def file(self) -> Database:
        """The database file. Raises `UsageError` if the store is a lake."""
        return self._backend.as_file("other")

    @property
    def lake(self) -> Lake:
        """The lake. Raises `UsageError` if the store is a file."""
        return self._backend.as_lake("other")

    def file_for(self, purpose: Purpose) -> Database:
        """Returns the database file. For a lake, raises a `UsageError` that says what serves this purpose there."""
        return self._backend.as_file(purpose)

    def lake_for(self, purpose: Purpose) -> Lake:
        """Returns the lake. For a file, raises a `UsageError` that says what serves this purpose there."""
        return self._backend.as_lake(purpose)

    def lies_at(self, path: Path) -> bool:
        """Returns True if the store is the file at ``path``."""
        return self._backend.lies_at(path)

    def folders(self) -> list[Path]:
        """Returns the folders on this machine in which a killed process may have left files of the store."""
        return self._backend.folders()

    def room(self) -> tuple[Path | None, int]:
        """Returns the folder whose disk holds the store, None if no disk of this machine does; and the bytes used."""
        return self._backend.room()

    @property
    def exists(self) -> bool:
        """True if the store exists. Raises `StoreError` if that cannot be determined."""
        return self._backend.exists

    @property
    def bytes(self) -> int:
        """The size in bytes of the file, or of the files of the lake's current state."""
        return self._backend.size()

    def files(self) -> tuple[int, int]:
        """Returns the number of files that hold the current state, and their size in bytes."""
        return self._backend.files()

    @property
    def modified(self) -> float:
        """A number that changes when any process writes to the store; 0 if the store does not exist."""
        return self._backend.modified()

    def upgrade_first(self) -> None:
        """From now on, `reading` upgrades a store of an earlier version first. Callers that will write use this.

        They plan from what they read, so they must read it in the schema of this version. A read copy is never
        upgraded.
        """
        self._upgrades = True

    @contextmanager
    def reading(self, *, alone: bool = False) -> Iterator[Session]:
        """Yields a session that sees one state of the store. Raises `StoreError` if there is no store to read.

        A store of an earlier version can be read, except for the tables, views and columns that it lacks. Set
        ``alone`` for a session that attaches another database.
        """
        opened = self._backend.alone if alone else partial(self._backend.connected, read_only=True)
        with ExitStack() as stack:
            session = stack.enter_context(opened())
            info = self._require_store(session.info())
            if self._upgrades and info.schema_version < schema.SCHEMA_VERSION and info.published_from is None:
                stack.close()
                with self.writing():
                    pass
                session = stack.enter_context(opened())
                info = self._require_store(session.info())
            stack.enter_context(self._explained(info))
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Yields a session that may write. Creates the store or upgrades its schema if needed."""
        self._backend.ensure(self._ensure_schema)
        with self._backend.connected(read_only=False) as session:
            self._ensure_schema(session)
            yield session

    def change(
        self,
        symbols: Collection[str],
        work: Callable[[Session], Result],
        before: Callable[[Session], None] = lambda _: None,
    ) -> Result:
        """Runs ``work`` in one transaction, all or nothing, while no other process changes these symbols.

        On a lake ``work`` may run more than once, each time from the start, if other processes change the same
        tables. ``before`` runs outside the transaction. Creates the store if needed. Raises `StoreError`.
        """

        def prepare(session: Session) -> None:
            self._ensure_schema(session)
            before(session)

        self._backend.ensure(self._ensure_schema)
        return self._backend.change(symbols, work, prepare)

    def prepare(self) -> None:
        """Builds a new store aside, so that `make` only has to move it into place. Does nothing if the store exists."""
        self._backend.prepare(self._ensure_schema)

    def make(self) -> None:
        """Creates the store if it does not exist, so that the first append need not do it."""
        self._backend.ensure(self._ensure_schema)

    @contextmanager
    def closed(self) -> Iterator[BinaryIO]:
        """Yields the complete bytes of the closed file, and keeps every writer out meanwhile, but no reader.

        Raises `StoreError` if another connection of this process has the file open.
        """
        with self.file.closed() as stream:
            yield stream

    def mark_published(self, moment: datetime, origin: str) -> None:
        """Marks this store as a read copy, taken at ``moment`` (UTC) from the store at ``origin``.

        Upgrades its schema to this version. Raises `StoreError` if not all of that was written to the file.
        """
        with self._backend.connected(read_only=False) as session:
            self._require_store(session.info())
            self._ensure_schema(session)
            session.run("store/set_published", published_at=moment, published_from=origin)
            # Closing would do it too, but would hide an error.
            session.checkpoint()

    @contextmanager
    def rewriting(self, target: Path) -> Iterator[Session]:
        """Yields a session in memory that reads this store as ``old`` and writes a new file as ``new``.

        No other process writes to the store until the session ends.
        """
        with self.reading() as session:
            self.require_original(session)
        with self.file.attached(target) as session:
            yield session

    def require_original(self, session: Session) -> None:
        """Raises `StoreError` if the session of this store reads a read copy."""
        self._refuse_copy(session.info())

    def info(self) -> StoreInfo | None:
        """Returns what the store records about itself, of any version; None if it is not a store of this project."""
        with self._backend.connected(read_only=True) as session:
            return session.info()

    def query(self, name: str, **parameters: Any) -> pa.Table:
        """Returns the rows of ``sql/<name>.sql``, read in a new session."""
        with self.reading() as session:
            return session.query(name, **parameters)

    def connect(self) -> duckdb.DuckDBPyConnection:
        """Returns a plain read-only connection for SQL of the caller's own; downloads wait until it is closed.

        Raises `StoreError` if there is no store, and `UsageError` if it is a lake.
        """
        path = self.path
        with self.reading():
            pass
        try:
            return duckdb.connect(str(path), read_only=True)
        except duckdb.Error as error:
            raise open_error(path, error) from error

    def symbols(self) -> list[str]:
        """Returns the stored symbols, sorted by name; an empty list if there is no store. Raises `StoreError`."""
        if not self.exists:
            return []
        with self.reading() as session:
            return [row[0] for row in session.run("read/symbol_spans")]

    def named(self, symbols: Collection[str]) -> list[str]:
        """Returns typed symbols as the exchange writes them; see `threadx_duck.texts.symbols.read_symbols`."""
        return read_symbols(symbols, self.symbols)

    def require_stored(self, symbols: Collection[str]) -> list[str]:
        """Returns typed symbols as they are stored. Raises `UsageError` that names those that are not stored."""
        with self.reading() as session:
            return stored_among(session, symbols)

    def query_user_sql(self, statement: str) -> pa.Table:
        """Returns the rows of a statement that a user typed. It can read this store and do nothing else.

        It cannot reach a file, the network, an extension or a setting. Raises `QueryError`.
        """
        with self._backend.sandboxed() as session:
            try:
                return session.query_user_sql(statement)
            except QueryError as error:
                info = session.info() if is_absence(error) else None
                if info is None or info.schema_version >= schema.SCHEMA_VERSION:
                    raise
                raise QueryError(f"{error} {self._how_to_upgrade(info)}") from error

    @contextmanager
    def sandboxed(self) -> Iterator[Session]:
        """Yields a session that reads one state of the store, and nothing else after `Session.shut_in`."""
        with self._backend.sandboxed() as session, self._explained(self._require_store(session.info())):
            yield session

    def _ensure_schema(self, session: Session) -> None:
        info = session.info()
        version = self._schema_version(info)
        self._refuse_copy(info)
        if version is None:
            schema.bring_up_to_date(session, None, self._market, self._backend.define_schema)
        elif version < schema.SCHEMA_VERSION:
            with self._backend.upgrading():
                # Another process may have upgraded it first.
                version = self._schema_version(session.info())
                if version != schema.SCHEMA_VERSION:
                    schema.bring_up_to_date(session, version, self._market, self._backend.define_schema)

    def _refuse_copy(self, info: StoreInfo | None) -> None:
        if info is not None and info.published_from is not None:
            raise StoreError(
                f"{self.name} is a read copy of {info.published_from}; the next publication replaces it. "
                "Write to the store itself."
            )

    def _require_store(self, info: StoreInfo | None) -> StoreInfo:
        self._schema_version(info)
        if info is None:
            raise StoreError(f"{self.name} holds no candles of threadx_duck.")
        return info

    @contextmanager
    def _explained(self, info: StoreInfo) -> Iterator[None]:
        """Adds how to upgrade to an error that an older store raises because it lacks something."""
        try:
            yield
        except StoreError as error:
            if info.schema_version >= schema.SCHEMA_VERSION or not is_absence(error):
                raise
            raise StoreError(self._how_to_upgrade(info)) from error

    def _how_to_upgrade(self, info: StoreInfo) -> str:
        command = "threadx ingest" if info.published_from is None else f"threadx --db {info.published_from} publish"
        return (
            f"{self.name} was written by an earlier threadx_duck (schema {info.schema_version}, here "
            f"{schema.SCHEMA_VERSION}) and lacks what this needs. It is added by: {command}"
        )

    def _schema_version(self, info: StoreInfo | None) -> int | None:
        """Returns the schema version; None for a new store. Raises `StoreError` if it is newer or of another market."""
        if info is None:
            return None
        if info.schema_version > schema.SCHEMA_VERSION:
            raise StoreError(
                f"{self.name} was written by a newer threadx_duck (schema {info.schema_version}, "
                f"here {schema.SCHEMA_VERSION}). Upgrade with: pip install -U threadx_duck"
            )
        if info.market != self._market:
            raise StoreError(
                f"{self.name} holds {info.market}, but [data.store] market is {self._market}. "
                "One store holds one market: name another database."
            )
        return info.schema_version


def stored_among(session: Session, symbols: Collection[str]) -> list[str]:
    """Returns typed symbols as they are stored. Raises `UsageError` that names those that are not stored."""
    if not symbols:
        return []
    stored = [row[0] for row in session.run("read/symbol_spans")]
    named = read_symbols(symbols, lambda: stored)
    unknown = [symbol for symbol in named if symbol not in stored]
    if unknown:
        raise not_stored(unknown, stored)
    return named
