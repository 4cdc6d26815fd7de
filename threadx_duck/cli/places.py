"""Refuses results in places that threadx itself needs: the settings, the store, the logs and a lake's files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from threadx_duck.config import Settings
from threadx_duck.config.address import is_remote
from threadx_duck.config.logs import FILES
from threadx_duck.disk.posix import identity, resolved
from threadx_duck.errors import NoLakeError, UsageError
from threadx_duck.storage.store import Store


def require_free(path: Path, settings: Settings, store: Store) -> None:
    """Raises `UsageError` for a file or folder in such a place, under any name or link, existing or not.

    It may have to ask a lake where its files are, and raises `StoreError` if the lake does not answer.
    """
    target, found = resolved(path), identity(path)
    for place, what in _places(settings, store):
        if target == resolved(place) or (found is not None and found == identity(place)):
            raise UsageError(f"{path} is {what}; it is not written over. Name another file.")
    folder = _lake_folder(store)
    if folder is not None and target.is_relative_to(resolved(folder)):
        raise UsageError(f"{path} is where the lake keeps its files, under {folder}. Name another place.")


def _places(settings: Settings, store: Store) -> Iterator[tuple[Path, str]]:
    if settings.file is not None:
        yield settings.file, "the settings file"
    if store.kind == "file":
        yield store.path, "the place of the store"
        yield store.file.log, "the place of the store's log"
    if settings.store.read_copy:
        yield Path(settings.store.read_copy), "the place of the read copy"
    for name in FILES:
        yield settings.logging.directory / name, "a log file"


def _lake_folder(store: Store) -> Path | None:
    """Returns the folder of a lake's files; None for a file store, and for object storage."""
    if store.kind == "file":
        return None
    path = store.lake.address.data_path
    if not path:
        try:
            path = store.lake.data_path()
        except NoLakeError:
            return None
    return None if is_remote(path) else Path(path)
