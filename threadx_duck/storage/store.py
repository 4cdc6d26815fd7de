"""The store: candles and the evidence for them, in one DuckDB file or in a lake that many machines share."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from threadx_duck.config import StoreSettings
from threadx_duck.errors import QueryError, StoreError
from threadx_duck.storage import schema
from threadx_duck.storage.backend import Kind, Purpose, open_backend
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

    A file is open only while a statement or an append runs, so that other processes get in between.
    ``on_wait`` is told, once per wait, that another process holds the file, or changes the same symbols.
    """

    def __init__(self, settings: StoreSettings, on_wait: Callable[[str], None] = lambda _: None) -> None:
        self.address = settings.database
        self._market = settings.market
        self._backend = open_backend(settings, on_wait)
        self._upgrades = False

    @property
    def name(self) -> str:
        """What messages call the store: its path, or its address without secrets."""
        return str(self.address)

    @property
    def kind(self) -> Kind:
        """Where it lies: in a ``file`` or in a ``lake``."""
        return self._backend.kind

    @property
    def keeps_order(self) -> bool:
        """Whether rows stay as they were inserted, so that whoever inserts them has to sort."""
        return self._backend.keeps_order

    @property
    def is_near(self) -> bool:
        """Whether it is on this machine: asking it waits for no network."""
        return self._backend.is_near

    @property
    def path(self) -> Path:
        """The file. Raises `UsageError` for a lake, which is none."""
        return self.file.path

    @property
    def file(self) -> Database:
        """The database file. Raises `UsageError` for a lake, which is none."""
        return self._backend.as_file("other")

    @property
    def lake(self) -> Lake:
        """The lake. Raises `UsageError` for a file, which is none."""
        return self._backend.as_lake("other")

    def file_for(self, purpose: Purpose) -> Database:
        """The database file. Raises `UsageError` for a lake, with what serves this purpose there."""
        return self._backend.as_file(purpose)

    def lake_for(self, purpose: Purpose) -> Lake:
        """The lake. Raises `UsageError` for a file, with what serves this purpose there."""
        return self._backend.as_lake(purpose)

    def lies_at(self, path: Path) -> bool:
        """Whether the store is the file at a path."""
        return self._backend.lies_at(path)

    def folders(self) -> list[Path]:
        """The folders of this machine in which files of the store may be left by a killed process."""
        return self._backend.folders()

    def room(self) -> tuple[Path | None, int]:
        """The folder whose disk has to hold the store, None if it is on no disk of this machine; and its bytes."""
        return self._backend.room()

    @property
    def exists(self) -> bool:
        """Whether there is a store. Raises `StoreError` if that cannot be found out."""
        return self._backend.exists

    @property
    def bytes(self) -> int:
        """How large the store is: its file, or the files of the lake's current state."""
        return self._backend.size()

    def files(self) -> tuple[int, int]:
        """The files that hold the current state: how many, and their bytes."""
        return self._backend.files()

    @property
    def modified(self) -> float:
        """A number that changes when the store is written to, by whomever; 0 if there is none."""
        return self._backend.modified()

    def upgrade_first(self) -> None:
        """From now on a store of an earlier version is upgraded before it is read: for what will write to it.

        A plan is made from what a store says, so it must say it in this version's words. A read copy stays as it is.
        """
        self._upgrades = True

    @contextmanager
    def reading(self, *, alone: bool = False) -> Iterator[Session]:
        """A session that sees one state of the store. Raises `StoreError` if there is no store to read.

        One of an earlier version serves as far as it has what is asked for. ``alone`` for a session that attaches
        another database.
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
        """A session that may write; makes the store, or upgrades its schema, where needed."""
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
        """Runs ``work`` in one transaction, while nobody else changes these symbols: everything or nothing.

        On a lake it may run more than once, each time from the start, if others change the same tables.
        ``before`` runs outside the transaction. Makes the store where needed; raises `StoreError`.
        """

        def prepare(session: Session) -> None:
            self._ensure_schema(session)
            before(session)

        self._backend.ensure(self._ensure_schema)
        return self._backend.change(symbols, work, prepare)

    def prepare(self) -> None:
        """Has a new store ready for `make`, if there is none; puts nothing into its place yet."""
        self._backend.prepare(self._ensure_schema)

    def make(self) -> None:
        """Makes the store if there is none, so that the first append need not."""
        self._backend.ensure(self._ensure_schema)

    @contextmanager
    def closed(self) -> Iterator[BinaryIO]:
        """The bytes of the closed file, complete, with every writer kept out meanwhile; readers are not.

        Raises `StoreError` if a connection of this process, made elsewhere, has it open.
        """
        with self.file.closed() as stream:
            yield stream

    def mark_published(self, moment: datetime, origin: str) -> None:
        """Makes this file, which is a store, a read copy: taken at a moment, UTC, from the store at a path.

        Brings it to this version. Raises `StoreError` if that did not all get into the file.
        """
        with self._backend.connected(read_only=False) as session:
            self._require_store(session.info())
            self._ensure_schema(session)
            session.run("store/set_published", published_at=moment, published_from=origin)
            # Closing does it too, but swallows a failure.
            session.checkpoint()

    @contextmanager
    def rewriting(self, target: Path) -> Iterator[Session]:
        """A session in memory that reads this store as ``old`` and writes a new file, ``new``.

        No other process writes to the store until the session ends.
        """
        with self.reading() as session:
            self.require_original(session)
        with self.file.attached(target) as session:
            yield session

    def require_original(self, session: Session) -> None:
        """Raises `StoreError` if a session of this store reads a read copy."""
        self._refuse_copy(session.info())

    def info(self) -> StoreInfo | None:
        """What the file says of itself, whatever its version; None if it is no store of this project."""
        with self._backend.connected(read_only=True) as session:
            return session.info()

    def query(self, name: str, **parameters: Any) -> pa.Table:
        """The rows that ``sql/<name>.sql`` returns, read on a connection of its own."""
        with self.reading() as session:
            return session.query(name, **parameters)

    def symbols(self) -> list[str]:
        """The symbols that are stored, by name; none if there is no store yet. Raises `StoreError`."""
        if not self.exists:
            return []
        with self.reading() as session:
            return [row[0] for row in session.run("read/symbol_spans")]

    def named(self, symbols: Collection[str]) -> list[str]:
        """Symbols as somebody typed them, read as `threadx_duck.texts.symbols.read_symbols` says."""
        return read_symbols(symbols, self.symbols)

    def require_stored(self, symbols: Collection[str]) -> list[str]:
        """Symbols as somebody typed them, as they are stored. Raises `UsageError` naming those that are not."""
        with self.reading() as session:
            return stored_among(session, symbols)

    def query_user_sql(self, statement: str) -> pa.Table:
        """The rows of a statement that somebody typed: it can read this store and do nothing else.

        No file, network, extension or setting is within its reach. Raises `QueryError`.
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
        """A session that reads one state of the store, and nothing else from `Session.shut_in` on."""
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
                # Somebody else may have been faster.
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
        """Says of what an older store lacks how it gets it."""
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
        """The store's version; None for a new file. Raises `StoreError` if it is newer, or of another market."""
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
    """Symbols as somebody typed them, as they are stored. Raises `UsageError` naming those that are not."""
    if not symbols:
        return []
    stored = [row[0] for row in session.run("read/symbol_spans")]
    named = read_symbols(symbols, lambda: stored)
    unknown = [symbol for symbol in named if symbol not in stored]
    if unknown:
        raise not_stored(unknown, stored)
    return named
