"""Publishes a read copy of the store: readers may stay connected to it all day while candles come in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from threadx_duck.config import StoreSettings
from threadx_duck.errors import StoreError, StoreLockedError, UsageError
from threadx_duck.store import Store
from threadx_duck.store_errors import open_error
from threadx_duck.storefile import copy_stream, remove_leftovers, replace_file, temporary_beside
from threadx_duck.times import utc_now


@dataclass(frozen=True)
class ReadCopy:
    """A copy for readers: where it lies, when it was taken (UTC), its size."""

    path: Path
    published_at: datetime
    bytes: int


def publish(store: Store, settings: StoreSettings, target: Path) -> ReadCopy:
    """Copies the closed store and puts the copy in the place of the last one, in one step.

    Readers of the last copy keep it until they connect again. Raises `StoreError`: for a target that is
    there and is no read copy, for a full disk, for a store that another process holds too long; the last
    copy stays then. Raises `UsageError` for a lake, which needs none.
    """
    if store.lake is not None:
        raise UsageError(
            f"{store.name} needs no read copy: its readers keep nobody waiting. "
            "For a copy in one file: threadx migrate PATH."
        )
    _require_free(store, settings, target)
    try:
        with temporary_beside(target) as temporary:
            moment = utc_now()
            with store.closed() as stream:
                copy_stream(stream, temporary)
            _store_at(settings, temporary).mark_published(moment, str(store.path))
            size = temporary.stat().st_size
            replace_file(temporary, target)
    except OSError as error:
        raise open_error(target, error) from error
    return ReadCopy(target, moment, size)


@contextmanager
def published_after(store: Store, settings: StoreSettings, note: Callable[[str], None]) -> Iterator[None]:
    """Renews the read copy that the settings name, if they do, once what runs inside has ended, well or not.

    Raises `StoreError` if it cannot; after another error or an interruption that is only noted. Removes what
    a killed compaction has left first.
    """
    if store.lake is not None:
        yield
        return
    remove_leftovers(store.path)
    try:
        yield
    except StoreLockedError:
        raise
    except BaseException:
        try:
            renew(store, settings)
        except StoreError as error:
            note(f"The read copy is as old as before: {error}")
        raise
    try:
        renew(store, settings)
    except StoreError as error:
        raise StoreError(f"The candles are stored, but the read copy is as old as before: {error}") from error


def renew(store: Store, settings: StoreSettings) -> None:
    """Publishes to where the settings say, if they do and the store has changed since. Raises `StoreError`."""
    target = Path(settings.read_copy)
    if settings.read_copy and store.exists and _is_outdated(store, target):
        publish(store, settings, target)


def _is_outdated(store: Store, target: Path) -> bool:
    """Whether the store was written to since its read copy was taken."""
    return not target.exists() or target.stat().st_mtime_ns < store.path.stat().st_mtime_ns


def _require_free(store: Store, settings: StoreSettings, target: Path) -> None:
    """Raises `StoreError` unless the target is free, or holds an earlier copy."""
    if target.is_dir():
        raise StoreError(f"{target} is a folder. Name a file for the read copy, such as {target / 'read.duckdb'}")
    if not target.exists():
        return
    if store.exists and target.samefile(store.path):
        raise StoreError(f"{target} is the store itself. Name another file for the read copy.")
    try:
        info = _store_at(settings, target).info()
    except StoreLockedError:
        raise
    except StoreError:
        info = None
    if info is None or info.published_from is None:
        raise StoreError(f"{target} is there already and is no read copy. Delete it, or name another file.")


def _store_at(settings: StoreSettings, path: Path) -> Store:
    return Store(replace(settings, database=path))
