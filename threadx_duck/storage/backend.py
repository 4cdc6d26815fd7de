"""What a store needs of the place where it lies: the interface that the file and the lake share."""

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
    """Where a store lies. What only one kind can do is reached by `as_file` or `as_lake`, which refuse the other."""

    @property
    def kind(self) -> Kind:
        """Which of both it is."""

    @property
    def keeps_order(self) -> bool:
        """Whether rows stay as they were inserted, so that whoever inserts them has to sort."""

    @property
    def is_near(self) -> bool:
        """Whether it is on this machine: asking it waits for no network."""

    @property
    def exists(self) -> bool:
        """Whether there is a store. Raises `StoreError` if that cannot be found out."""

    def as_file(self, purpose: Purpose) -> Database:
        """Itself, if it is a file. Raises `UsageError` that says what to do instead."""

    def as_lake(self, purpose: Purpose) -> Lake:
        """Itself, if it is a lake. Raises `UsageError` that says what to do instead."""

    def lies_at(self, path: Path, /) -> bool:
        """Whether the store is the file at a path."""

    def folders(self) -> list[Path]:
        """The folders of this machine in which files of a store may be left by a killed process."""

    def room(self) -> tuple[Path | None, int]:
        """The folder whose disk has to hold the store, None if it is on no disk of this machine; and its bytes."""

    def ensure(self, fill: Callable[[Session], None]) -> None:
        """Makes the store if it is not there; ``fill`` puts into it what it is never without."""

    def prepare(self, fill: Callable[[Session], None], /) -> None:
        """Does ahead of time what makes `ensure` or the first session slow; puts nothing into its place."""

    def connected(self, *, read_only: bool) -> AbstractContextManager[Session]:
        """A session; a reading one sees one state of the store. Raises `StoreError` if it cannot be opened."""

    def alone(self) -> AbstractContextManager[Session]:
        """A reading session; what is set in it or attached to it reaches no other session."""

    def change(
        self, symbols: Collection[str], work: Callable[[Session], Result], before: Callable[[Session], None], /
    ) -> Result:
        """Runs ``before``, then ``work`` in one transaction, while nobody else changes these symbols."""

    def upgrading(self) -> AbstractContextManager[None]:
        """Keeps every other process from changing the schema."""

    def define_schema(self, session: Session) -> None:
        """Makes every table, macro and view."""

    def sandboxed(self) -> AbstractContextManager[Session]:
        """A session that may be shut in by `Session.shut_in` and reads the store all the same."""

    def files(self) -> tuple[int, int]:
        """The files that hold the current state: how many, and their bytes."""

    def size(self) -> int:
        """Bytes of the files that hold the current state."""

    def modified(self) -> float:
        """A number that changes when the store is written to, by whomever; 0 if there is none."""


def open_backend(settings: StoreSettings, on_wait: Callable[[str], None]) -> Backend:
    """The file or lake that settings name. Nothing is opened yet."""
    if isinstance(settings.database, LakeAddress):
        # Imported here: it takes 40 ms that no command on a file need wait for.
        from threadx_duck.storage.lake import Lake

        return Lake(settings.database, settings.lock_timeout_seconds, on_wait)
    return Database(settings.database, settings.lock_timeout_seconds, on_wait)
