"""The lake: a DuckLake behind the same interface as the database file, for many processes on many machines.

Readers and writers can use it at any time. DuckLake detects no conflict between two inserts, so two processes could
store the same minute twice. Locks in PostgreSQL prevent that: one per symbol, held while a transaction changes it.
"""

from __future__ import annotations

import hashlib
import logging
import re
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from functools import cache, partial
from pathlib import Path
from typing import Literal, NoReturn, TypeVar

import duckdb
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, stop_after_delay, wait_random_exponential

from threadx_duck.config.address import LakeAddress, is_remote
from threadx_duck.errors import CONTINUES, NoLakeError, StoreConflictError, StoreError, StoreLockedError, UsageError
from threadx_duck.storage.failures import open_error
from threadx_duck.storage.lake_attach import LAKE, attach_catalog, attach_lake, data_path, load_extensions
from threadx_duck.storage.session import Session, prepare
from threadx_duck.storage.sqlfiles import list_definitions

logger = logging.getLogger("threadx_duck.lake")

# Keep replaced files this long, for readers that started before the compaction.
RETENTION = timedelta(days=1)

_LEAST_TRIES = 5

# Name of the lake in a connection, by whether it is attached read-only. Both may be attached at once.
_NAMES = {False: LAKE, True: "reader"}

# Key of the lock for work on the whole lake, such as creating or compacting it; no symbol has this name.
_WHOLE = ""

Result = TypeVar("Result")


class Lake:
    """One DuckLake. The connection stays open, because it blocks no other process; sessions are short.

    ``on_wait`` is called once per wait, with a message that another process changes the same symbols.
    """

    kind: Literal["lake"] = "lake"
    keeps_order = False
    is_near = False

    def __init__(self, address: LakeAddress, lock_timeout: float, on_wait: Callable[[str], None]) -> None:
        self.address = address
        self._lock_timeout = lock_timeout
        self._on_wait = on_wait
        self._instance: duckdb.DuckDBPyConnection | None = None
        self._attached: set[str] = set()
        self._turn = threading.RLock()
        self._found = False

    @property
    def exists(self) -> bool:
        """True if the lake exists and has its tables. Raises `StoreError` if PostgreSQL cannot be asked."""
        if not self._found:
            try:
                with self.connected(read_only=True) as session:
                    self._found = session.info() is not None
            except NoLakeError:
                return False
        return self._found

    def as_file(self, purpose: str) -> NoReturn:
        """Always raises a `UsageError` that says what to do instead."""
        if purpose == "publish":
            raise UsageError(
                f"{self.address} needs no read copy: its readers keep nobody waiting. "
                "For a copy in one file: threadx migrate PATH."
            )
        if purpose == "backup":
            raise UsageError(
                f"{self.address} is not one file. Its backup is pg_dump of the catalog, then a copy of the files under "
                f"{self.data_path()}; or threadx migrate PATH, which makes one file of it."
            )
        raise UsageError(f"{self.address} is a lake, not a file: this cannot be done to it.")

    def as_lake(self, _purpose: str) -> Lake:
        """Returns this object."""
        return self

    def lies_at(self, _path: Path, /) -> bool:
        """Returns False: a lake is not one file."""
        return False

    def folders(self) -> list[Path]:
        """Returns an empty list: failed commits leave files below the data path, where `compact` deletes them."""
        return []

    def room(self) -> tuple[Path | None, int]:
        """Returns the data path, or None in object storage; and 0, because a compaction rewrites one file at a time."""
        path = self.data_path()
        return (None if is_remote(path) else Path(path)), 0

    def ensure(self, fill: Callable[[Session], None]) -> None:
        """Creates the lake if it does not exist; ``fill`` writes the content of a new lake. Raises `StoreError`.

        A kill may leave a lake without tables; the next process that writes adds them.
        """
        if self.exists:
            return
        # DuckLake does not stop two processes from creating the same lake at once.
        with self._catalog() as catalog, self._locked(catalog, (_WHOLE,)):
            if not self._is_made():
                self._require_free_path(catalog)
            self._cursor(read_only=False, make=True).close()
            with self.connected(read_only=False) as session:
                # Set options before the views exist: with a view in the lake, DuckLake 1.0 (DuckDB 1.5.5) crashes here.
                if not session.run("lake/count_views")[0][0]:
                    session.run("lake/inline_small_commits", lake=LAKE)
                    session.run("lake/compress_files", lake=LAKE)
                    fill(session)

    @contextmanager
    def upgrading(self) -> Iterator[None]:
        """Keeps every other process from changing the schema and from compacting, while the block runs."""
        with self.connected(read_only=False) as holder, self._locked(holder, (_WHOLE,)):
            yield

    def prepare(self, _fill: Callable[[Session], None], /) -> None:
        """Loads the extensions, which takes a while. Does not check whether the lake exists."""
        with suppress(StoreError):
            self._loaded()

    @contextmanager
    def connected(self, *, read_only: bool) -> Iterator[Session]:
        """Yields a session; a reading one sees one state of the lake. Raises `StoreError` if it cannot be opened."""
        with self._cursor(read_only=read_only) as cursor, self._session(cursor, read_only=read_only) as session:
            yield session

    @contextmanager
    def alone(self) -> Iterator[Session]:
        """Yields a reading session on a new connection."""
        with self._open() as connection:
            attach_lake(connection, self.address, _NAMES[True], read_only=True)
            with self._session(connection, read_only=True) as session:
                yield session

    @contextmanager
    def _session(self, cursor: duckdb.DuckDBPyConnection, *, read_only: bool) -> Iterator[Session]:
        with ExitStack() as stack:
            # Roll back before closing: if PostgreSQL is gone, DuckDB aborts a process that closes a connection whose
            # transaction is open.
            stack.callback(_roll_back, cursor)
            try:
                cursor.execute(f"use {_NAMES[read_only]}")
                prepare(cursor)
                if read_only:
                    cursor.execute("begin transaction")
            except duckdb.Error as error:
                raise open_error(self.address, error) from None
            yield Session(cursor, self.address)

    def change(
        self, symbols: Collection[str], work: Callable[[Session], Result], before: Callable[[Session], None], /
    ) -> Result:
        """Runs ``before``, then ``work`` in one transaction, while no other process changes these symbols.

        Both run again after a conflict. Raises `StoreLockedError` if another process changes the symbols for longer
        than the lock timeout, and `StoreConflictError` if the conflicts do not end.
        """

        def attempt() -> Result:
            # A separate connection holds the locks: the transaction that changes candles must begin after the locking.
            with (
                self.connected(read_only=False) as holder,
                self._locked(holder, symbols),
                self.connected(read_only=False) as session,
            ):
                before(session)
                with session.transaction():
                    return work(session)

        return self._repeatedly(attempt)

    def size(self) -> int:
        """Returns the size in bytes of the files that hold the current state, without the rows in the catalog."""
        return self.files()[1]

    def files(self) -> tuple[int, int]:
        """Returns the number of files that hold the current state, and their size in bytes."""
        with self.connected(read_only=True) as session:
            count, size = session.run("lake/data_size")[0]
        return int(count), int(size)

    def data_path(self) -> str:
        """Returns the folder or address where the lake keeps its files."""
        with self._cursor(read_only=True) as cursor:
            return data_path(cursor, self.address, _NAMES[True])

    def file_pattern(self) -> str:
        """Returns a glob pattern that matches every Parquet file below the data path."""
        return _pattern(self.data_path())

    def modified(self) -> float:
        """Returns a number that changes with every commit; 0 if the lake does not exist."""
        if not self.exists:
            return 0.0
        with self.connected(read_only=True) as session:
            return float(session.run("lake/current_snapshot")[0][0])

    def define_schema(self, session: Session) -> None:
        """Creates every table, macro and view, and partitions the candles by symbol and month."""
        for file in list_definitions():
            # A lake can store comments only on tables, their columns, and views.
            session.define(file, comment=file.folder != "macros", columns=file.folder == "schema")
        session.run("lake/partition_candles")
        session.run("lake/sort_candles")

    def compact(self) -> None:
        """Moves rows from the catalog into files, joins small files, drops old states and deletes their files.

        Also deletes files that failed or killed commits left, once they are older than `RETENTION`. Readers and
        writers can continue meanwhile; every state that was current within `RETENTION` stays readable.
        """
        with (
            self.connected(read_only=False) as holder,
            self._locked(holder, (_WHOLE,)),
            self.connected(read_only=False) as session,
        ):
            for name in ("lake/flush_inlined", "lake/rewrite_deleted", "lake/merge_files"):
                self._repeatedly(partial(session.run, name, lake=LAKE))
            for name in ("lake/expire_snapshots", "lake/delete_files"):
                session.run(name, lake=LAKE, kept=RETENTION)
            # DuckLake would delete every unlisted Parquet file there, even one that does not come from this lake.
            if all(is_own for _, _, is_own in session.run("lake/unlisted_files", files=self.file_pattern())):
                session.run("lake/delete_orphans", lake=LAKE, kept=RETENTION)

    def forget(self, numbers: list[int]) -> None:
        """Removes lost data files from the catalog. The ledger is wrong until the caller removes their range.

        Raises `StoreError`.
        """
        with self.connected(read_only=False) as holder, self._locked(holder, (_WHOLE,)), self._catalog() as catalog:
            catalog.run("lake/forget_files", ids=numbers)

    @contextmanager
    def sandboxed(self) -> Iterator[Session]:
        """Yields a session that can read only the lake's files after `Session.query_user_sql` has blocked the rest."""
        with self.alone() as session:
            session.allow_folder(self.data_path())
            yield session

    def _is_made(self) -> bool:
        """Returns True if the lake exists, with or without its tables."""
        try:
            self._cursor(read_only=True).close()
        except NoLakeError:
            return False
        return True

    def _require_free_path(self, catalog: Session) -> None:
        """Raises `StoreError` if Parquet files lie at the data path: their lake would delete files of the new one."""
        path = self.address.data_path
        if not path:
            return
        if is_remote(path):
            catalog.load("httpfs")
        found = catalog.run("lake/any_file", pattern=_pattern(path))
        if found:
            raise StoreError(
                f"{path} holds Parquet files already, such as {found[0][0]}. Name an empty place for a new lake's "
                "files: [data.store] data_path, or migrate --data-path."
            )

    def _cursor(self, *, read_only: bool, make: bool = False) -> duckdb.DuckDBPyConnection:
        """Returns a new cursor on the open connection; only the first call takes long."""
        name = _NAMES[read_only]
        with self._turn:
            instance = self._loaded()
            if name not in self._attached:
                attach_lake(instance, self.address, name, read_only=read_only, make=make)
                self._attached.add(name)
            return instance.cursor()

    def _loaded(self) -> duckdb.DuckDBPyConnection:
        with self._turn:
            if self._instance is None:
                self._instance = self._open()
            return self._instance

    def _open(self) -> duckdb.DuckDBPyConnection:
        _warn_of_secrets(self.address)
        connection = duckdb.connect()
        try:
            load_extensions(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def _catalog(self) -> Iterator[Session]:
        """Yields a session on the database of the catalog, even if it contains no lake."""
        with self._open() as connection:
            attach_catalog(connection, self.address)
            yield Session(connection, self.address)

    @contextmanager
    def _locked(self, holder: Session, symbols: Collection[str]) -> Iterator[None]:
        """Holds PostgreSQL's locks on symbols. PostgreSQL releases them when the process ends, even by a kill."""
        keys = sorted({_key(symbol) for symbol in symbols})
        if not keys:
            yield
            return
        with holder.rolled_back():
            if not holder.run("lake/try_locks", keys=keys)[0][0]:
                self._wait(holder, keys)
            yield

    def _wait(self, holder: Session, keys: list[int]) -> None:
        text = f"Another process is changing the same symbols in {self.address}."
        if not self._lock_timeout:
            raise StoreLockedError(f"{text} {CONTINUES}")
        self._on_wait(f"{text} Waiting for up to {self._lock_timeout:g} seconds.")
        holder.run("lake/limit_wait", milliseconds=max(1, round(1000 * self._lock_timeout)))
        try:
            holder.run("lake/take_locks", keys=keys)
        except StoreError as error:
            if "lock timeout" not in str(error):
                raise
            raise StoreLockedError(f"{text} Gave up after {self._lock_timeout:g} seconds. {CONTINUES}") from error

    def _repeatedly(self, work: Callable[[], Result]) -> Result:
        """Repeats ``work`` after a conflict, for as long as the lock timeout, with at least five attempts."""
        patience: Retrying = Retrying(
            retry=retry_if_exception_type(StoreConflictError),
            stop=stop_after_delay(self._lock_timeout) & stop_after_attempt(_LEAST_TRIES),
            wait=wait_random_exponential(multiplier=0.05, max=1.0),
            before_sleep=lambda state: logger.info("conflict %s, trying again", state.attempt_number),
            reraise=True,
        )
        return patience(work)


@cache
def _warn_of_secrets(address: LakeAddress) -> None:
    if address.secrets:
        logger.warning("The address of %s holds a password in clear; ~/.pgpass or a service file need none.", address)


def _pattern(folder: str) -> str:
    # A character in brackets matches itself.
    return re.sub(r"[*?\[]", r"[\g<0>]", folder.rstrip("/")) + "/**/*.parquet"


def _roll_back(cursor: duckdb.DuckDBPyConnection) -> None:
    with suppress(duckdb.Error):
        cursor.execute("rollback")


def _key(symbol: str) -> int:
    """Returns PostgreSQL's number for the lock of a symbol; it is the same on every machine."""
    digest = hashlib.blake2b(f"threadx_duck {symbol}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
