"""Publishes a read copy of the store, to which readers may stay connected all day while candles are ingested."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from threadx_duck.candles.times import utc_now
from threadx_duck.config import StoreSettings
from threadx_duck.disk.posix import copy_stream, is_open_elsewhere, is_special, replace_file, resolved
from threadx_duck.disk.temporaries import remove_leftovers, temporary_beside
from threadx_duck.disk.whole_files import require_no_log
from threadx_duck.errors import StoreError, StoreLockedError
from threadx_duck.storage.failures import open_error
from threadx_duck.storage.store import Store


@dataclass(frozen=True)
class ReadCopy:
    """A copy for readers: its path, the time when it was taken (UTC), and its size in bytes."""

    path: Path
    published_at: datetime
    bytes: int


def publish(store: Store, settings: StoreSettings, target: Path) -> ReadCopy:
    """Copies the closed store and replaces the last copy in one step.

    Readers of the last copy keep it until they connect again. On a system that replaces no open file, such as
    Windows, the name of the copy gets a number: see `newest_copy`. Raises `StoreError` for an existing target that
    is no read copy, for a full disk, and for a store that another process holds too long; the last copy remains
    then. Raises `UsageError` for a lake, which needs no read copy.
    """
    store.file_for("publish")
    target = resolved(target)
    _require_free(store, settings, target)
    with store.reading() as session:
        store.require_original(session)
        rows, counted_at = session.run("publish/count_rows"), store.file.state()
    try:
        with temporary_beside(target, noted_at=store.path.parent) as temporary:
            moment = utc_now()
            with store.closed() as stream:
                taken_at = store.file.state()
                copy_stream(stream, temporary)
            # If the store was written to after its rows were counted, the copy is compared with itself only.
            wanted = rows if taken_at == counted_at else None
            _mark(_store_at(settings, temporary), moment, str(store.path), wanted)
            # This time shows that the copy is of the store's current state, whatever clocks say: see `_is_outdated`.
            os.utime(temporary, ns=(taken_at.modified, taken_at.modified))
            size = temporary.stat().st_size
            put = _put(temporary, target, store.path)
    except OSError as error:
        raise open_error(target, error) from error
    return ReadCopy(put, moment, size)


def newest_copy(target: Path) -> Path:
    """Returns the path of the newest read copy: the highest number beside ``target``, or ``target`` if there is none.

    ``read.2.duckdb`` is a numbered copy beside ``read.duckdb``.
    """
    return max([(0, target), *_numbered(target)])[1]


def age_of_copy(settings: StoreSettings) -> timedelta | None:
    """Returns how long ago the settings' read copy was taken, by this machine's clock; None if there is none."""
    path = newest_copy(resolved(Path(settings.read_copy)))
    try:
        info = _store_at(settings, path).info() if path.exists() else None
    except StoreError:
        return None
    return None if info is None or info.published_at is None else max(timedelta(), utc_now() - info.published_at)


@contextmanager
def published_after(store: Store, settings: StoreSettings, note: Callable[[str], None]) -> Iterator[None]:
    """Renews the settings' read copy, if they name one, after the ``with`` block has ended, with an error or without.

    Raises `StoreError` if the copy cannot be renewed; if the block itself raised, that is only noted. First removes
    the files that a killed compaction has left.
    """
    for folder in store.folders():
        remove_leftovers(folder)
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
    """Publishes the settings' read copy, if they name one and the store has changed since. Raises `StoreError`."""
    target = resolved(Path(settings.read_copy))
    if settings.read_copy and store.exists and _is_outdated(store, target):
        publish(store, settings, target)


def _is_outdated(store: Store, target: Path) -> bool:
    """Whether the store has changed since its read copy was taken. The result does not depend on clocks."""
    try:
        copied = newest_copy(target).stat().st_mtime_ns
    except OSError:
        return True
    return copied != store.file.state().modified or store.file.log.exists()


def _mark(copy: Store, moment: datetime, origin: str, wanted: list[tuple[str, int]] | None) -> None:
    """Marks a file as a read copy, and verifies the mark and the number of rows. Raises `StoreError`."""
    if not copy.exists:
        raise StoreError(f"The copy for {copy.path} was removed while it was made. Run the same command again.")
    with copy.reading() as session:
        rows = session.run("publish/count_rows")
    _require_rows(copy, wanted or rows, rows)
    copy.mark_published(moment, origin)
    with copy.reading() as session:
        marked, info = session.run("publish/count_rows"), session.info()
    _require_rows(copy, rows, marked)
    if info is None or (info.published_at, info.published_from) != (moment, origin) or copy.file.log.exists():
        raise StoreError(f"{copy.path} did not keep what was written to it. Is that disk full, or failing?")


def _require_rows(copy: Store, wanted: list[tuple[str, int]], found: list[tuple[str, int]]) -> None:
    """Raises `StoreError` unless the tables of a copy have the wanted numbers of rows."""
    for (table, here), (_, there) in zip(wanted, found, strict=True):
        if here != there:
            raise StoreError(
                f"The copy for {copy.path} has {there:,} rows of {table}, the store {here:,}; it was dropped."
            )


def _put(temporary: Path, target: Path, store: Path) -> Path:
    """Replaces the last copy, or writes beside it if it is open and cannot be replaced. Returns the new copy's path."""
    earlier = _numbered(target)
    try:
        replace_file(temporary, target, like=store)
    except OSError as error:
        if not is_open_elsewhere(error):
            raise
        number = max([1, *(found for found, _ in earlier)]) + 1
        target = target.with_name(f"{target.stem}.{number}{target.suffix}")
        replace_file(temporary, target, like=store)
    for _, path in earlier:
        # Its readers keep it. If it cannot be deleted while they do, the next publication tries again.
        with suppress(OSError):
            path.unlink()
    return target


def _numbered(target: Path) -> list[tuple[int, Path]]:
    """Returns the number and path of each numbered copy beside a read copy."""
    number = re.compile(rf"{re.escape(target.stem)}\.(\d+){re.escape(target.suffix)}")
    try:
        found = [(number.fullmatch(path.name), path) for path in target.parent.iterdir()]
    except OSError:
        return []
    return [(int(match[1]), path) for match, path in found if match]


def _require_free(store: Store, settings: StoreSettings, target: Path) -> None:
    """Raises `StoreError` unless the target is free or an earlier copy, `UsageError` if it is a database's log."""
    require_no_log(target)
    if target.is_dir():
        raise StoreError(f"{target} is a folder. Name a file for the read copy, such as {target / 'read.duckdb'}")
    if not target.exists():
        return
    if is_special(target):
        raise StoreError(f"{target} is no ordinary file, but a pipe or a device. Name another file for the read copy.")
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
