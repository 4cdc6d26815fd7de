"""The database file: opens it for a moment, waits for it, and hands out its bytes while nobody writes to it."""

from __future__ import annotations

import errno
import math
import os
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, Literal, NoReturn, TypeVar

import duckdb

from threadx_duck.disk.posix import (
    FileState,
    held,
    holder,
    identity,
    is_held,
    is_open_here,
    is_special,
    link_file,
    resolved,
    state_of,
)
from threadx_duck.disk.temporaries import temporary_beside
from threadx_duck.disk.whole_files import require_no_log
from threadx_duck.errors import CONTINUES, StoreError, StoreLockedError, UsageError
from threadx_duck.storage.failures import moved_error, open_error
from threadx_duck.storage.session import Session, prepare
from threadx_duck.storage.sqlfiles import list_definitions, literal

# Every client since DuckDB 1.0 can read storage v1.0.0, at no cost in size or speed; no client before 2.0 can
# read the default of DuckDB 2.0.
_STORAGE: dict[str, Any] = {"storage_compatibility_version": "v1.0.0"}

# One lock per file in this process, shared by every `Database` of that file: connections of different modes to one
# file exclude each other, and copying the file while a connection is open would drop DuckDB's lock.
_turns: defaultdict[Path, threading.RLock] = defaultdict(threading.RLock)

# Seconds between two looks at a file that another process holds: for a process that has just begun to wait, and
# for one that has waited long.
_LONGEST_PAUSE, _SHORTEST_PAUSE = 0.4, 0.002

# When this process last closed a file that it had written to, by `time.monotonic`.
_written: defaultdict[Path, float] = defaultdict(lambda: -math.inf)

Opened = TypeVar("Opened")
Result = TypeVar("Result")


class Database:
    """One DuckDB file. It is open only while a session lasts, so that other processes can use it in between.

    ``on_wait`` is called once per wait, with a message that another process holds the file.
    """

    kind: Literal["file"] = "file"
    keeps_order = True
    is_near = True

    def __init__(self, path: Path, lock_timeout: float, on_wait: Callable[[str], None]) -> None:
        # Links are resolved: replacing a link would leave the file, and DuckDB's log lies beside the file.
        self.path = resolved(path)
        self._lock_timeout = lock_timeout
        self.on_wait = on_wait
        self._turn = _turns[self.path]
        self._new: bytes | None = None

    @property
    def exists(self) -> bool:
        """True if the file exists. Raises `StoreError` if its folder cannot be read, or if it is a pipe."""
        self._require_ordinary()
        try:
            return self.path.exists()
        except OSError as error:
            raise open_error(self.path, error, duckdb.__version__) from error

    def as_file(self, _purpose: str) -> Database:
        """Returns this object."""
        return self

    def as_lake(self, purpose: str) -> NoReturn:
        """Always raises `UsageError`: a file is not a lake."""
        advice = "--give-up-lost is for a lake; {} is one file. Put a backup in its place."
        raise UsageError((advice if purpose == "give up lost files" else "{} is a file, not a lake.").format(self.path))

    def lies_at(self, path: Path, /) -> bool:
        """Returns True if this is the file at ``path``, directly or through a link."""
        return self.exists and path.samefile(self.path)

    def folders(self) -> list[Path]:
        """Returns the folder of the file, as a list of one."""
        return [self.path.parent]

    def room(self) -> tuple[Path, int]:
        """Returns the folder of the file, and the size of the file in bytes; 0 if the file does not exist yet."""
        return self.path.parent, self.size() if self.exists else 0

    @property
    def log(self) -> Path:
        """The path of DuckDB's write-ahead log, which exists while commits are not in the file yet, as after a kill."""
        return self.path.with_name(f"{self.path.name}.wal")

    def ensure(self, fill: Callable[[Session], None]) -> None:
        """Creates the file, and its folder, if it does not exist; ``fill`` writes the content of a new file.

        The file appears whole or not at all, so that a kill leaves no half-made file. Raises `StoreError`, and
        `UsageError` if another database uses this path for its log.
        """
        if self.exists:
            return
        require_no_log(self.path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"Cannot make the folder {self.path.parent}: {error.strerror}.") from error
        try:
            with self._turn, temporary_beside(self.path) as temporary:
                if self._new is None:
                    self._make(temporary, fill)
                else:
                    temporary.write_bytes(self._new)
                # Another process may have created it first.
                with suppress(FileExistsError):
                    link_file(temporary, self.path)
        except (OSError, duckdb.Error) as error:
            raise open_error(self.path, error, duckdb.__version__) from error

    def change(
        self, _symbols: Collection[str], work: Callable[[Session], Result], before: Callable[[Session], None], /
    ) -> Result:
        """Runs ``before``, then ``work`` in one transaction. No other process can use the file between the two."""
        with self.connected(read_only=False) as session:
            before(session)
            with session.transaction():
                return work(session)

    def prepare(self, fill: Callable[[Session], None], /) -> None:
        """Prepares the content of a new file for `ensure`, which takes 0.1 s. Does nothing if the file exists."""
        # An error here occurs again, and is reported, when `ensure` makes the file.
        with suppress(OSError, duckdb.Error, StoreError), TemporaryDirectory() as folder:
            if self._new is None and not self.exists:
                aside = Path(folder) / self.path.name
                self._make(aside, fill)
                self._new = aside.read_bytes()

    def alone(self) -> AbstractContextManager[Session]:
        """Returns a reading session; its settings and attached databases end with it, as in every session on a file."""
        return self.connected(read_only=True)

    def sandboxed(self) -> AbstractContextManager[Session]:
        """Returns a session for `Session.query_user_sql`."""
        return self.connected(read_only=True)

    @contextmanager
    def upgrading(self) -> Iterator[None]:
        """Does nothing: a process that writes to a file keeps all others out already."""
        yield

    @staticmethod
    def define_schema(session: Session) -> None:
        """Creates every table, macro and view."""
        for file in list_definitions():
            session.define(file)

    def files(self) -> tuple[int, int]:
        """Returns the number of files, which is 1, and their size in bytes."""
        return 1, self.size()

    def size(self) -> int:
        """Returns the size of the file in bytes."""
        return self.path.stat().st_size

    def modified(self) -> float:
        """Returns a number that changes when the file is written to; 0 if the file does not exist."""
        try:
            return self.path.stat().st_mtime
        except OSError:
            return 0.0

    def state(self) -> FileState:
        """Returns the state of the file, which differs after the file was written or replaced."""
        return state_of(self.path)

    @contextmanager
    def connected(self, *, read_only: bool) -> Iterator[Session]:
        """Yields a session on the file. Raises `StoreError` if it cannot be opened, or was moved during a write."""
        with self._turn:
            connection = self._patiently(lambda: self._open(read_only=read_only), shared=read_only)
            opened = identity(self.path)
            try:
                yield _prepared(connection, self.path)
                if not read_only and identity(self.path) != opened:
                    raise moved_error(self.path)
            finally:
                connection.close()
                if not read_only:
                    _written[self.path] = time.monotonic()

    @contextmanager
    def closed(self) -> Iterator[BinaryIO]:
        """Yields the bytes of the closed file, with its log merged into it, and keeps every writer out meanwhile."""
        with self._turn:
            self._require_closed_here()
            stack, stream = self._patiently(self._hold, shared=True)
            with stack:
                yield stream

    def holder(self) -> str | None:
        """Describes the other process that holds the file. None if no process holds it or this platform cannot say."""
        with self._turn:
            self._require_closed_here()
            try:
                return holder(self.path)
            except OSError as error:
                raise open_error(self.path, error) from error

    @contextmanager
    def attached(self, target: Path) -> Iterator[Session]:
        """Yields a session in memory with this file as ``old``, read-only and locked, and a new file as ``new``."""
        with self._turn:
            self._require_closed_here()
            connection = self._patiently(lambda: self._attach_old(target), shared=True)
            try:
                connection.execute(f"attach {literal(str(target))} as new (storage_version 'v1.0.0')")
                yield _prepared(connection, self.path)
            except duckdb.Error as error:
                raise open_error(self.path, error, duckdb.__version__) from error
            finally:
                connection.close()

    def _patiently(self, open_file: Callable[[], Opened], *, shared: bool) -> Opened:
        """Opens the file; waits while another process holds it. Raises `StoreLockedError` after the lock timeout."""
        self._require_ordinary()
        self._let_others_in()
        try:
            return open_file()
        except StoreLockedError as error:
            if not self._lock_timeout:
                raise
            self.on_wait(f"{error} Waiting for up to {self._lock_timeout:g} seconds.")
        began = time.monotonic()
        while (waited := time.monotonic() - began) < self._lock_timeout:
            time.sleep(min(_pause(waited), self._lock_timeout - waited))
            if not is_held(self.path, shared=shared):
                with suppress(StoreLockedError):
                    return open_file()
        try:
            return open_file()
        except StoreLockedError as error:
            raise StoreLockedError(f"{error} Gave up after {self._lock_timeout:g} seconds. {CONTINUES}") from error

    def _let_others_in(self) -> None:
        """Waits, after this process wrote to the file, until the process that has waited longest has looked again."""
        time.sleep(max(0.0, _written[self.path] + 2 * _SHORTEST_PAUSE - time.monotonic()))

    def _make(self, file: Path, fill: Callable[[Session], None]) -> None:
        with duckdb.connect(str(file), config=_STORAGE) as connection:
            session = _prepared(connection, self.path)
            fill(session)
            # Closing would do it too, but would hide an error: the file would lack the commits in the log.
            session.checkpoint()

    def _open(self, *, read_only: bool) -> duckdb.DuckDBPyConnection:
        before = identity(self.path)
        if before is None and not self.exists:
            # DuckDB would create an empty database.
            raise open_error(self.path, FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)))
        try:
            connection = duckdb.connect(str(self.path), read_only=read_only, config=_STORAGE)
        except duckdb.Error as error:
            if before and not self.path.stat().st_size:
                raise StoreError(f"{self.path} is an empty file, not a store. Delete it, or name another.") from error
            raise open_error(self.path, error, duckdb.__version__) from error
        if before not in {None, identity(self.path)}:
            # A compaction replaced the file between the look and the lock: the opened file has no name any more.
            connection.close()
            raise StoreLockedError(f"{self.path} was just being replaced by another process.")
        return connection

    def _attach_old(self, target: Path) -> duckdb.DuckDBPyConnection:
        self._apply_log()
        before, log = identity(self.path), state_of(self.log)
        connection = duckdb.connect(config=_STORAGE)
        try:
            connection.execute(f"set temp_directory = {literal(str(target.with_name(f'{target.name}.spill')))}")
            connection.execute(f"attach {literal(str(self.path))} as old (read_only)")
        except duckdb.Error as error:
            connection.close()
            raise open_error(self.path, error, duckdb.__version__) from error
        if identity(self.path) != before or state_of(self.log) != log:
            connection.close()
            raise StoreLockedError(f"{self.path} was just written by another process.")
        # A log that remains after a checkpoint is empty, and must not lie beside the new file.
        self.log.unlink(missing_ok=True)
        return connection

    def _hold(self) -> tuple[ExitStack, BinaryIO]:
        """Returns the closed file, locked against writers; closing the stack releases the lock."""
        self._apply_log()
        log = state_of(self.log)
        stack = ExitStack()
        try:
            stream = stack.enter_context(held(self.path))
        except BlockingIOError as error:
            self._open(read_only=True).close()
            raise StoreLockedError(f"{self.path} was held by another process until just now.") from error
        except OSError as error:
            raise open_error(self.path, error, duckdb.__version__) from error
        found = os.fstat(stream.fileno())
        if (found.st_dev, found.st_ino) != identity(self.path) or state_of(self.log) != log:
            stack.close()
            raise StoreLockedError(f"{self.path} was just written by another process.")
        return stack, stream

    def _apply_log(self) -> None:
        """Writes the commits that a killed process left in the log into the file."""
        if self.log.exists():
            connection = self._open(read_only=False)
            try:
                Session(connection, self.path).checkpoint()
            finally:
                connection.close()

    def _require_ordinary(self) -> None:
        if is_special(self.path):
            raise StoreError(
                f"{self.path} is no ordinary file, but a pipe or a device. Name another: --db, or [data.store] "
                "database."
            )

    def _require_closed_here(self) -> None:
        if is_open_here(self.path):
            raise StoreError(f"{self.path} is open in this very process. Close that connection first.")


def _prepared(connection: duckdb.DuckDBPyConnection, path: Path) -> Session:
    prepare(connection)
    return Session(connection, path)


def _pause(waited: float) -> float:
    """Returns the seconds to wait before the next look at a file, after ``waited`` seconds of waiting.

    A process that has waited longer looks more often, so it is the first to find the file free. Processes that come
    later cannot overtake it for long, even if there are many. The processes need not exchange anything for this.
    """
    return random.uniform(0.5, 1.0) * max(_SHORTEST_PAUSE, _LONGEST_PAUSE * math.exp(-waited / 2))
