"""The interface that the database file and the lake share: what a store needs from either."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

from threadx_duck.config import StoreSettings
from threadx_duck.config.address import LakeAddress
from threadx_duck.storage.file import Database
from threadx_duck.storage.session import Session

if TYPE_CHECKING:
    from threadx_duck.storage.lake import Lake

Kind = Literal["file", "lake"]
Purpose = Literal["publish", "backup", "give up lost files", "other"]
Result = TypeVar("Result")


class Backend(Protocol):
    """A file or a lake. `as_file` and `as_lake` give access to what only one kind can do, and refuse the other."""

    @property
    def kind(self) -> Kind:
        """``file`` or ``lake``."""

    @property
    def keeps_order(self) -> bool:
        """True if rows stay in the order of insertion, so that the caller has to insert them sorted."""

    @property
    def is_near(self) -> bool:
        """True if the store is on this machine, so that a query waits for no network."""

    @property
    def exists(self) -> bool:
        """True if the store exists. Raises `StoreError` if that cannot be determined."""

    def as_file(self, purpose: Purpose) -> Database:
        """Returns this object if it is a file. Otherwise raises a `UsageError` that says what to do instead."""

    def as_lake(self, purpose: Purpose) -> Lake:
        """Returns this object if it is a lake. Otherwise raises a `UsageError` that says what to do instead."""

    def lies_at(self, path: Path, /) -> bool:
        """Returns True if the store is the file at ``path``."""

    def folders(self) -> list[Path]:
        """Returns the folders on this machine in which a killed process may have left files of the store."""

    def room(self) -> tuple[Path | None, int]:
        """Returns the folder whose disk holds the store, None if no disk of this machine does; and the bytes used."""

    def ensure(self, fill: Callable[[Session], None]) -> None:
        """Creates the store if it does not exist; ``fill`` writes the content of a new store."""

    def prepare(self, fill: Callable[[Session], None], /) -> None:
        """Does the slow part of `ensure` or of the first session in advance. Does not create the store."""

    def connected(self, *, read_only: bool) -> AbstractContextManager[Session]:
        """Returns a session; a reading one sees one state of the store. Raises `StoreError` if it cannot be opened."""

    def alone(self) -> AbstractContextManager[Session]:
        """Returns a reading session; its settings and attached databases affect no other session."""

    def change(
        self, symbols: Collection[str], work: Callable[[Session], Result], before: Callable[[Session], None], /
    ) -> Result:
        """Runs ``before``, then ``work`` in one transaction, while no other process changes these symbols."""

    def upgrading(self) -> AbstractContextManager[None]:
        """Keeps every other process from changing the schema."""

    def define_schema(self, session: Session) -> None:
        """Creates every table, macro and view."""

    def sandboxed(self) -> AbstractContextManager[Session]:
        """Returns a session that can still read the store after `Session.shut_in`."""

    def files(self) -> tuple[int, int]:
        """Returns the number of files that hold the current state, and their size in bytes."""

    def size(self) -> int:
        """Returns the size in bytes of the files that hold the current state."""

    def modified(self) -> float:
        """Returns a number that changes when any process writes to the store; 0 if the store does not exist."""


def open_backend(settings: StoreSettings, on_wait: Callable[[str], None]) -> Backend:
    """Returns the file or lake that the settings name. Opens nothing yet."""
    if isinstance(settings.database, LakeAddress):
        # Imported here, because it takes 40 ms and commands on a file do not need it.
        from threadx_duck.storage.lake import Lake

        return Lake(settings.database, settings.lock_timeout_seconds, on_wait)
    return Database(settings.database, settings.lock_timeout_seconds, on_wait)
