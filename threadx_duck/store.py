"""The store: one DuckDB file of candles and the evidence for them, held open only while it is read or written."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from threadx_duck.archive_files import month_of
from threadx_duck.config import StoreSettings
from threadx_duck.database import Database
from threadx_duck.errors import StoreError, UsageError
from threadx_duck.session import Session, StoreInfo, scratch
from threadx_duck.sqlfiles import list_sql
from threadx_duck.times import utc_now

if TYPE_CHECKING:
    import pyarrow as pa

    from threadx_duck.ledger import Batch

__all__ = ["SCHEMA_VERSION", "Appended", "Session", "Store", "StoreInfo", "scratch"]

SCHEMA_VERSION = 1

# Sorted candles change the symbol about once a symbol: each chunk of the file holds one, a few chunks two.
_MIXED = 1.5

# Chunks of 4096 candles, as count_chunks counts them: five million, about a second's work.
_SORTED_CHUNKS = 1_200


@dataclass(frozen=True)
class Appended:
    """What became of one request's candles: how many were new, how many replaced or removed stored ones.

    An answer that goes on where a stored one ends has become part of that one's row in the ledger.
    """

    request_id: int
    rows_added: int
    rows_revised: int


class Store:
    """One DuckDB file of candles.

    The file is open only while a statement or an append runs, so that other processes get in between.
    ``on_wait`` is told, once per wait, that another process holds the file.
    """

    def __init__(self, settings: StoreSettings, on_wait: Callable[[str], None] = lambda _: None) -> None:
        self.path = settings.database
        self._market = settings.market
        self._database = Database(settings.database, settings.lock_timeout_seconds, on_wait)

    @property
    def exists(self) -> bool:
        """Whether there is a file. Raises `StoreError` if its folder may not be looked into."""
        return self._database.exists

    @property
    def log(self) -> Path:
        """DuckDB's write-ahead log: beside the file while commits are not in it yet, as after a kill."""
        return self._database.log

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that sees one state of the store. Raises `StoreError` if there is no store to read."""
        with self._database.connected(read_only=True) as session:
            self._require_readable(session)
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A session that may write; makes the store, or upgrades its schema, where needed."""
        self._database.ensure(self._ensure_schema)
        with self._database.connected(read_only=False) as session:
            self._ensure_schema(session)
            yield session

    def prepare(self) -> None:
        """Has a new store ready for `make`, if there is none; puts nothing into its place yet."""
        self._database.prepare(self._ensure_schema)

    def make(self) -> None:
        """Makes the store if there is none, so that the first append need not."""
        self._database.ensure(self._ensure_schema)

    @contextmanager
    def closed(self) -> Iterator[BinaryIO]:
        """The bytes of the closed file, complete, with every writer kept out meanwhile; readers are not.

        Raises `StoreError` if a connection of this process, made elsewhere, has it open.
        """
        with self._database.closed() as stream:
            yield stream

    def mark_published(self, moment: datetime, origin: str) -> None:
        """Makes this file a read copy: taken at a moment, UTC, from the store at a path."""
        with self.writing() as session:
            session.run("append/set_published", published_at=moment, published_from=origin)

    @contextmanager
    def rewriting(self, target: Path) -> Iterator[Session]:
        """A session in memory that reads this store as ``old`` and writes a new file, ``new``.

        No other process writes to the store until the session ends.
        """
        with self.reading() as session:
            self._require_original(session.info())
        with self._database.attached(target) as session:
            yield session

    def holder(self) -> str | None:
        """The other process that has the file open, in words; None if there is none, or no telling."""
        return self._database.holder()

    def info(self) -> StoreInfo | None:
        """What the file says of itself, whatever its version; None if it is no store of this project."""
        with self._database.connected(read_only=True) as session:
            return session.info()

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
        with self._database.connected(read_only=True) as session:
            return session.query_user_sql(statement)

    def append(self, batches: Sequence[Batch]) -> list[Appended]:
        """Commits answers with all their evidence in one transaction: everything or nothing.

        Where an answer differs from what is stored, the source of higher or equal rank holds and the
        difference is recorded in ``revisions``.
        """
        with self.writing() as session:
            _sort_finished_month(session, max((_bounds(batch)[1] for batch in batches), default=datetime.min))
            session.run("append/use_one_thread")
            with session.transaction():
                return [row for batch in batches for row in _append(session, batch)]

    def _ensure_schema(self, session: Session) -> None:
        version = self._schema_version(session)
        self._require_original(session.info())
        if version == SCHEMA_VERSION:
            return
        with session.transaction():
            for folder in ("schema", "macros", "views"):
                for file in list_sql(folder):
                    session.define(file)
            session.run("append/set_store_info", version=SCHEMA_VERSION, market=self._market, now=utc_now())

    def _require_original(self, info: StoreInfo | None) -> None:
        if info is not None and info.published_from is not None:
            raise StoreError(
                f"{self.path} is a read copy of {info.published_from}; the next publication replaces it. "
                "Write to the store itself."
            )

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
        info = session.info()
        if info is None:
            return None
        if info.schema_version > SCHEMA_VERSION:
            raise StoreError(
                f"{self.path} was written by a newer threadx_duck (schema {info.schema_version}, "
                f"here {SCHEMA_VERSION}). Upgrade with: pip install -U threadx_duck"
            )
        if info.market != self._market:
            raise StoreError(
                f"{self.path} holds {info.market}, but [data.store] market is {self._market}. "
                "One store holds one market: name another database."
            )
        return info.schema_version


def _sort_finished_month(session: Session, end: datetime) -> None:
    """Brings the last stored month into order of symbol and time, if what is to be appended goes beyond it.

    Small appends mix the symbols, which takes half as much space again. Only the order in the file changes.
    A month of very many symbols is left to ``compact``: sorting it would hold the file for too long.
    """
    last = session.run("append/last_open_time")[0][0]
    if last is None or end <= month_of(last).end:
        return
    start, until = month_of(last)
    symbols, chunks, pairs = session.run("append/count_chunks", start=start, end=until)[0]
    if pairs <= _MIXED * (symbols + chunks) or chunks > _SORTED_CHUNKS:
        return
    with session.transaction():
        session.run("append/take_candles", start=start, end=until)
        session.run("append/remove_taken", start=start, end=until)
        session.run("append/insert_taken")
    # With the append behind it, the month's former place would stay taken until the next month is sorted.
    session.checkpoint()


def _append(session: Session, batch: Batch) -> list[Appended]:
    first, last = _bounds(batch)
    with session.tables(incoming=batch.candles, incoming_rejected=batch.rejected, incoming_requests=batch.requests):
        stored = session.run("append/find_stored", first=first, last=last)[0][0]
        session.run("append/lift_memory_limit" if stored else "append/limit_memory")
        if stored:
            session.run("append/record_revisions")
            session.run("append/remove_replaced", first=first, last=last)
        session.run("append/insert_candles" if stored else "append/insert_all_candles")
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
