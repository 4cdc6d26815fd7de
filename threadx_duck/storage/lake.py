"""The lake: a DuckLake behind the same interface as the database file, for many processes on many machines.

Readers and writers are let in at any time. Two inserts into a lake never conflict, so what would store a
minute twice is kept out by locks in PostgreSQL, one for each symbol, held while a transaction changes it.
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

# Whoever began to read before a compaction reads on from files that it has replaced.
RETENTION = timedelta(days=1)

_LEAST_TRIES = 5

# What the lake is called in a connection, by whether it is attached for reading only. Both may be at once.
_NAMES = {False: LAKE, True: "reader"}

# What whoever makes or compacts a lake holds; no symbol is called so.
_WHOLE = ""

Result = TypeVar("Result")


class Lake:
    """One DuckLake. The connection to it stays open, because it keeps nobody out; sessions are short.

    ``on_wait`` is told, once per wait, that another process changes the same symbols.
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
        """Whether there is a lake, complete with its tables. Raises `StoreError` if PostgreSQL cannot be asked."""
        if not self._found:
            try:
                with self.connected(read_only=True) as session:
                    self._found = session.info() is not None
            except NoLakeError:
                return False
        return self._found

    def as_file(self, purpose: str) -> NoReturn:
        """Raises `UsageError` that says what to do instead."""
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
        """Itself."""
        return self

    def lies_at(self, _path: Path, /) -> bool:
        """No: a lake is not one file."""
        return False

    def folders(self) -> list[Path]:
        """None: what failed commits leave lies below the data path, where `compact` deletes it."""
        return []

    def room(self) -> tuple[Path | None, int]:
        """The folder of the data path if it is one, and 0: a compaction writes files anew one after the other."""
        path = self.data_path()
        return (None if is_remote(path) else Path(path)), 0

    def ensure(self, fill: Callable[[Session], None]) -> None:
        """Makes the lake if it is not there; ``fill`` puts into it what it is never without. Raises `StoreError`.

        A kill may leave a lake without tables; the next one who writes adds them.
        """
        if self.exists:
            return
        # DuckLake has no protection of its own against two processes that make the same lake.
        with self._catalog() as catalog, self._locked(catalog, (_WHOLE,)):
            if not self._is_made():
                self._require_free_path(catalog)
            self._cursor(read_only=False, make=True).close()
            with self.connected(read_only=False) as session:
                # Before the views are there: with one in the lake DuckLake 1.0 (DuckDB 1.5.5) crashes here.
                if not session.run("lake/count_views")[0][0]:
                    session.run("lake/inline_small_commits", lake=LAKE)
                    session.run("lake/compress_files", lake=LAKE)
                    fill(session)

    @contextmanager
    def upgrading(self) -> Iterator[None]:
        """Keeps every other process from changing the schema, or from compacting."""
        with self.connected(read_only=False) as holder, self._locked(holder, (_WHOLE,)):
            yield

    def prepare(self, _fill: Callable[[Session], None], /) -> None:
        """Has the extensions loaded, which takes a while. Whether there is a lake is found out later."""
        with suppress(StoreError):
            self._loaded()

    @contextmanager
    def connected(self, *, read_only: bool) -> Iterator[Session]:
        """A session on the lake; a reading one sees one state of it. Raises `StoreError` if it cannot be opened."""
        with self._cursor(read_only=read_only) as cursor, self._session(cursor, read_only=read_only) as session:
            yield session

    @contextmanager
    def alone(self) -> Iterator[Session]:
        """A reading session on a connection of its own."""
        with self._open() as connection:
            attach_lake(connection, self.address, _NAMES[True], read_only=True)
            with self._session(connection, read_only=True) as session:
                yield session

    @contextmanager
    def _session(self, cursor: duckdb.DuckDBPyConnection, *, read_only: bool) -> Iterator[Session]:
        with ExitStack() as stack:
            # If PostgreSQL is gone, DuckDB aborts the process that closes a connection with its transaction open.
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
        """Runs ``before``, then ``work`` in one transaction, while nobody else changes these symbols.

        Both run again after a conflict. Raises `StoreLockedError` if another process changes the symbols for
        too long, `StoreConflictError`.
        """

        def attempt() -> Result:
            # Locks are held on a connection of their own: what changes candles must begin once they are held.
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
        """Bytes of the files that hold the current state; rows that lie in the catalog are not counted."""
        return self.files()[1]

    def files(self) -> tuple[int, int]:
        """The files that hold the current state: how many, and their bytes."""
        with self.connected(read_only=True) as session:
            count, size = session.run("lake/data_size")[0]
        return int(count), int(size)

    def data_path(self) -> str:
        """Where the lake keeps its files."""
        with self._cursor(read_only=True) as cursor:
            return data_path(cursor, self.address, _NAMES[True])

    def file_pattern(self) -> str:
        """What all Parquet files fit that lie where the lake keeps its own."""
        return _pattern(self.data_path())

    def modified(self) -> float:
        """A number that changes with every commit; 0 if there is no lake."""
        if not self.exists:
            return 0.0
        with self.connected(read_only=True) as session:
            return float(session.run("lake/current_snapshot")[0][0])

    def define_schema(self, session: Session) -> None:
        """Makes every table, macro and view, and lays the candles out by symbol and month."""
        for file in list_definitions():
            # A lake holds comments on tables and their columns and on views, on nothing else.
            session.define(file, comment=file.folder != "macros", columns=file.folder == "schema")
        session.run("lake/partition_candles")
        session.run("lake/sort_candles")

    def compact(self) -> None:
        """Writes rows out of the catalog, joins small files, forgets old states and deletes their files.

        So go files that failed or killed commits have left, once they are as old. Readers and writers go on; what
        was current within `RETENTION` stays readable.
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
            # DuckLake deletes whatever Parquet lies there, also what somebody else has put beside the lake's files.
            if all(is_own for _, _, is_own in session.run("lake/unlisted_files", files=self.file_pattern())):
                session.run("lake/delete_orphans", lake=LAKE, kept=RETENTION)

    def forget(self, numbers: list[int]) -> None:
        """Takes files of rows that are lost out of the catalog; the ledger is not true until their range is removed.

        Raises `StoreError`.
        """
        with self.connected(read_only=False) as holder, self._locked(holder, (_WHOLE,)), self._catalog() as catalog:
            catalog.run("lake/forget_files", ids=numbers)

    @contextmanager
    def sandboxed(self) -> Iterator[Session]:
        """A session that may read the lake's files and no others, once `Session.query_user_sql` has shut the rest."""
        with self.alone() as session:
            session.allow_folder(self.data_path())
            yield session

    def _is_made(self) -> bool:
        """Whether there is a lake, its tables or not."""
        try:
            self._cursor(read_only=True).close()
        except NoLakeError:
            return False
        return True

    def _require_free_path(self, catalog: Session) -> None:
        """Raises `StoreError` if a new lake's files would lie among those of another, which deletes what it lacks."""
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
        """A connection of its own on the one that stays open; only the first takes long."""
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
        """A session on the database of the catalog, whether there is a lake in it or not."""
        with self._open() as connection:
            attach_catalog(connection, self.address)
            yield Session(connection, self.address)

    @contextmanager
    def _locked(self, holder: Session, symbols: Collection[str]) -> Iterator[None]:
        """Holds PostgreSQL's locks on symbols. They end with the process, however it ends."""
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
        """Does it again where another process was faster, for as long as a lock would be waited for."""
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
    # In brackets a character stands for itself.
    return re.sub(r"[*?\[]", r"[\g<0>]", folder.rstrip("/")) + "/**/*.parquet"


def _roll_back(cursor: duckdb.DuckDBPyConnection) -> None:
    with suppress(duckdb.Error):
        cursor.execute("rollback")


def _key(symbol: str) -> int:
    """The number under which PostgreSQL knows the lock of a symbol: the same on every machine."""
    digest = hashlib.blake2b(f"threadx_duck {symbol}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
