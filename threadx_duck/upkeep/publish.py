"""Publishes a read copy of the store: readers may stay connected to it all day while candles come in."""

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
    """A copy for readers: where it lies, when it was taken (UTC), its size."""

    path: Path
    published_at: datetime
    bytes: int


def publish(store: Store, settings: StoreSettings, target: Path) -> ReadCopy:
    """Copies the closed store and puts the copy in the place of the last one, in one step.

    Readers of the last copy keep it until they connect again. Where the system lets no open file be replaced, as
    Windows, the copy gets a number: see `newest_copy`. Raises `StoreError`: for a target that is there and is no
    read copy, for a full disk, for a store that another process holds too long; the last copy stays then. Raises
    `UsageError` for a lake, which needs none.
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
            # Of a store that was written to since it was counted, the copy is compared with itself only.
            wanted = rows if taken_at == counted_at else None
            _mark(_store_at(settings, temporary), moment, str(store.path), wanted)
            # By this the copy is known to be of the store as it is, whatever the clocks say: see `_is_outdated`.
            os.utime(temporary, ns=(taken_at.modified, taken_at.modified))
            size = temporary.stat().st_size
            put = _put(temporary, target, store.path)
    except OSError as error:
        raise open_error(target, error) from error
    return ReadCopy(put, moment, size)


def newest_copy(target: Path) -> Path:
    """The read copy at a path, or the one with the highest number beside it: ``read.2.duckdb`` for ``read.duckdb``."""
    return max([(0, target), *_numbered(target)])[1]


def age_of_copy(settings: StoreSettings) -> timedelta | None:
    """How long ago the read copy of the settings was taken, by this machine's clock; None if there is none."""
    path = newest_copy(resolved(Path(settings.read_copy)))
    try:
        info = _store_at(settings, path).info() if path.exists() else None
    except StoreError:
        return None
    return None if info is None or info.published_at is None else max(timedelta(), utc_now() - info.published_at)


@contextmanager
def published_after(store: Store, settings: StoreSettings, note: Callable[[str], None]) -> Iterator[None]:
    """Renews the read copy that the settings name, if they do, once what runs inside has ended, well or not.

    Raises `StoreError` if it cannot; after another error or an interruption that is only noted. Removes what
    a killed compaction has left first.
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
    """Publishes to where the settings say, if they do and the store has changed since. Raises `StoreError`."""
    target = resolved(Path(settings.read_copy))
    if settings.read_copy and store.exists and _is_outdated(store, target):
        publish(store, settings, target)


def _is_outdated(store: Store, target: Path) -> bool:
    """Whether the store is not as it was when its read copy was taken; a clock that was set back hides nothing."""
    try:
        copied = newest_copy(target).stat().st_mtime_ns
    except OSError:
        return True
    return copied != store.file.state().modified or store.file.log.exists()


def _mark(copy: Store, moment: datetime, origin: str, wanted: list[tuple[str, int]] | None) -> None:
    """Makes a file a read copy, and looks whether it is one and has its rows. Raises `StoreError`."""
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
    """Raises `StoreError` unless the tables of a copy have so many rows."""
    for (table, here), (_, there) in zip(wanted, found, strict=True):
        if here != there:
            raise StoreError(
                f"The copy for {copy.path} has {there:,} rows of {table}, the store {here:,}; it was dropped."
            )


def _put(temporary: Path, target: Path, store: Path) -> Path:
    """Puts a copy in the place of the last one, or beside it if that is open and cannot be replaced."""
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
        # Whoever still reads it keeps it; the next publication tries again.
        with suppress(OSError):
            path.unlink()
    return target


def _numbered(target: Path) -> list[tuple[int, Path]]:
    """The numbered copies beside a read copy."""
    number = re.compile(rf"{re.escape(target.stem)}\.(\d+){re.escape(target.suffix)}")
    try:
        found = [(number.fullmatch(path.name), path) for path in target.parent.iterdir()]
    except OSError:
        return []
    return [(int(match[1]), path) for match, path in found if match]


def _require_free(store: Store, settings: StoreSettings, target: Path) -> None:
    """Raises `StoreError` unless the target is free, or holds an earlier copy; `UsageError` for a database's log."""
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
