"""The database file: opened for a moment, waited for, and handed out as bytes while nobody writes to it."""

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

# Storage v1.0.0 is readable by every client since DuckDB 1.0, at no cost in size or speed; DuckDB 2.0's
# own default is readable by no client before 2.0.
_STORAGE: dict[str, Any] = {"storage_compatibility_version": "v1.0.0"}

# One turn for each file in this process, whoever made the `Database`: connections of different modes to one file
# exclude each other, and copying the file while one is open would drop DuckDB's lock.
_turns: defaultdict[Path, threading.RLock] = defaultdict(threading.RLock)

# Seconds between two looks at a file that another process holds: of who has just come, of who has waited long.
_LONGEST_PAUSE, _SHORTEST_PAUSE = 0.4, 0.002

# When this process last let go of a file that it had written to, by `time.monotonic`.
_written: defaultdict[Path, float] = defaultdict(lambda: -math.inf)

Opened = TypeVar("Opened")
Result = TypeVar("Result")


class Database:
    """One DuckDB file, open only while a session lasts, so that other processes get in between.

    ``on_wait`` is told, once per wait, that another process holds the file.
    """

    kind: Literal["file"] = "file"
    keeps_order = True
    is_near = True

    def __init__(self, path: Path, lock_timeout: float, on_wait: Callable[[str], None]) -> None:
        # Not a link to it: what replaces the file would replace the link, and DuckDB's log lies beside the file.
        self.path = resolved(path)
        self._lock_timeout = lock_timeout
        self.on_wait = on_wait
        self._turn = _turns[self.path]
        self._new: bytes | None = None

    @property
    def exists(self) -> bool:
        """Whether there is a file. Raises `StoreError` if its folder may not be looked into, or for a pipe."""
        self._require_ordinary()
        try:
            return self.path.exists()
        except OSError as error:
            raise open_error(self.path, error, duckdb.__version__) from error

    def as_file(self, _purpose: str) -> Database:
        """Itself."""
        return self

    def as_lake(self, purpose: str) -> NoReturn:
        """Raises `UsageError`: a file is no lake."""
        advice = "--give-up-lost is for a lake; {} is one file. Put a backup in its place."
        raise UsageError((advice if purpose == "give up lost files" else "{} is a file, not a lake.").format(self.path))

    def lies_at(self, path: Path, /) -> bool:
        """Whether this is the file at a path, also by way of a link."""
        return self.exists and path.samefile(self.path)

    def folders(self) -> list[Path]:
        """The folder of the file."""
        return [self.path.parent]

    def room(self) -> tuple[Path, int]:
        """The folder of the file, and its bytes; 0 if there is none yet."""
        return self.path.parent, self.size() if self.exists else 0

    @property
    def log(self) -> Path:
        """DuckDB's write-ahead log: beside the file while commits are not in it yet, as after a kill."""
        return self.path.with_name(f"{self.path.name}.wal")

    def ensure(self, fill: Callable[[Session], None]) -> None:
        """Makes the file if it is not there, and its folder; ``fill`` puts into it what it is never without.

        It appears whole or not at all, so that a kill leaves no half-made file. Raises `StoreError`, and `UsageError`
        where another database has its log.
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
                # Unless another process was faster.
                with suppress(FileExistsError):
                    link_file(temporary, self.path)
        except (OSError, duckdb.Error) as error:
            raise open_error(self.path, error, duckdb.__version__) from error

    def change(
        self, _symbols: Collection[str], work: Callable[[Session], Result], before: Callable[[Session], None], /
    ) -> Result:
        """Runs ``before``, then ``work`` in one transaction. Nobody else gets in between, whatever the symbols."""
        with self.connected(read_only=False) as session:
            before(session)
            with session.transaction():
                return work(session)

    def prepare(self, fill: Callable[[Session], None], /) -> None:
        """Has the content of a new file ready for `ensure`, if there is none: filling takes a tenth of a second."""
        # What fails here fails again, and is told, when the file is made.
        with suppress(OSError, duckdb.Error, StoreError), TemporaryDirectory() as folder:
            if self._new is None and not self.exists:
                aside = Path(folder) / self.path.name
                self._make(aside, fill)
                self._new = aside.read_bytes()

    def alone(self) -> AbstractContextManager[Session]:
        """A reading session; what is set in it or attached to it ends with it, as in every session on a file."""
        return self.connected(read_only=True)

    def sandboxed(self) -> AbstractContextManager[Session]:
        """A session for `Session.query_user_sql`."""
        return self.connected(read_only=True)

    @contextmanager
    def upgrading(self) -> Iterator[None]:
        """Keeps others out while the schema changes: whoever writes to a file does so already."""
        yield

    @staticmethod
    def define_schema(session: Session) -> None:
        """Makes every table, macro and view."""
        for file in list_definitions():
            session.define(file)

    def files(self) -> tuple[int, int]:
        """One, and its bytes."""
        return 1, self.size()

    def size(self) -> int:
        """Bytes of the file."""
        return self.path.stat().st_size

    def modified(self) -> float:
        """A number that changes when the file is written to; 0 if there is none."""
        try:
            return self.path.stat().st_mtime
        except OSError:
            return 0.0

    def state(self) -> FileState:
        """Tells the file from what it was before."""
        return state_of(self.path)

    @contextmanager
    def connected(self, *, read_only: bool) -> Iterator[Session]:
        """A session on the file. Raises `StoreError` if it cannot be opened, or was moved while it was written."""
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
        """The bytes of the closed file, its log written into it, with every writer kept out meanwhile."""
        with self._turn:
            self._require_closed_here()
            stack, stream = self._patiently(self._hold, shared=True)
            with stack:
                yield stream

    def holder(self) -> str | None:
        """The other process that has the file open, in words; None if there is none, or no telling."""
        with self._turn:
            self._require_closed_here()
            try:
                return holder(self.path)
            except OSError as error:
                raise open_error(self.path, error) from error

    @contextmanager
    def attached(self, target: Path) -> Iterator[Session]:
        """A session in memory on this file as ``old``, read-only and so held, and a new file as ``new``."""
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
        """Opens the file, waiting for another process that holds it. Raises `StoreLockedError` in the end."""
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
        """Stays away from a file that was just written here for as long as whoever waits longest looks away."""
        time.sleep(max(0.0, _written[self.path] + 2 * _SHORTEST_PAUSE - time.monotonic()))

    def _make(self, file: Path, fill: Callable[[Session], None]) -> None:
        with duckdb.connect(str(file), config=_STORAGE) as connection:
            session = _prepared(connection, self.path)
            fill(session)
            # Closing does it too, but swallows a failure: the file would lie there without what is in the log.
            session.checkpoint()

    def _open(self, *, read_only: bool) -> duckdb.DuckDBPyConnection:
        before = identity(self.path)
        if before is None and not self.exists:
            # DuckDB would make an empty database of it.
            raise open_error(self.path, FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)))
        try:
            connection = duckdb.connect(str(self.path), read_only=read_only, config=_STORAGE)
        except duckdb.Error as error:
            if before and not self.path.stat().st_size:
                raise StoreError(f"{self.path} is an empty file, not a store. Delete it, or name another.") from error
            raise open_error(self.path, error, duckdb.__version__) from error
        if before not in {None, identity(self.path)}:
            # Replaced, by a compaction, between being found and being locked: what was opened lies nowhere.
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
        # What is still there after a checkpoint holds nothing, and must not lie beside the new file.
        self.log.unlink(missing_ok=True)
        return connection

    def _hold(self) -> tuple[ExitStack, BinaryIO]:
        """The closed file, locked against writers; the lock goes with the stack."""
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
        """Writes what a killed process left in the log into the file."""
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
    """How long to wait before asking again for a file, in seconds, after so many.

    Who has waited longer asks more often, and so is the first to find the file free: whoever comes later cannot pass
    by for long, however many they are. Nothing needs to be written for it, nor agreed upon between machines.
    """
    return random.uniform(0.5, 1.0) * max(_SHORTEST_PAUSE, _LONGEST_PAUSE * math.exp(-waited / 2))
