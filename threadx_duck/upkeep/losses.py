"""Finds the lost and the superfluous files of a lake, and gives up lost files with all that depended on them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from threadx_duck.candles.ranges import TimeRange
from threadx_duck.candles.times import MINUTE, format_time
from threadx_duck.errors import StoreError
from threadx_duck.ledger.remove import remove_evidence
from threadx_duck.storage.sqlfiles import read_sql

if TYPE_CHECKING:
    from threadx_duck.storage.store import Session, Store

# With a lost file of these tables, the minutes in its range are given up; none if its rows name no minutes.
_OF_MINUTES = frozenset({"candles_1m", "requests", "rejected_rows", "revisions"})
# With a lost file of these tables, the native candles of its symbols are given up.
_OF_NATIVES = frozenset({"native_candles", "requests"})


@dataclass(frozen=True)
class LostFile:
    """A file of the lake's current state that cannot be read, because it is missing or has another size.

    The symbols and times are the extremes of its rows, in UTC, the last moment included; None if its table has none.
    """

    table: str
    path: str
    found_bytes: int | None
    bytes: int
    number: int
    rows: int
    first_symbol: str | None
    last_symbol: str | None
    start: datetime | None
    end: datetime | None

    def __str__(self) -> str:
        if self.found_bytes is None:
            return f"{self.path} (not there)"
        return f"{self.path} ({self.found_bytes:,} instead of {self.bytes:,} bytes)"


@dataclass(frozen=True)
class UnlistedFile:
    """A Parquet file below the data path that no state of the lake lists; ``is_own`` if DuckLake has named it."""

    path: str
    bytes: int
    is_own: bool


@dataclass(frozen=True)
class GivenUp:
    """The files that were given up, and the ranges of each symbol whose minutes count as never requested."""

    files: list[LostFile]
    ranges: list[tuple[str, TimeRange]]


def find_lost(store: Store) -> list[LostFile]:
    """Returns the lost files of the lake's current state. Raises `StoreError`; `UsageError` if the store is a file."""
    return [LostFile(*row) for row in _list(store, "lake/lost_files")]


def find_unlisted(store: Store) -> list[UnlistedFile]:
    """Returns the files that no state of the lake lists, including those of a commit in progress.

    Raises `StoreError`; `UsageError` if the store is a file.
    """
    return [UnlistedFile(*row) for row in _list(store, "lake/unlisted_files")]


def _list(store: Store, name: str) -> list[tuple[Any, ...]]:
    files = store.lake.file_pattern()
    # Connects without reading the store's own tables, because their files may be lost.
    with store.lake.connected(read_only=True) as session:
        return session.run(name, files=files)


def require_whole(store: Store) -> None:
    """Raises `StoreError` that names every file that the lake has lost."""
    lost = find_lost(store)
    if lost:
        raise StoreError(
            f"{len(lost):,} of {store.lake.files()[0]:,} files of {store.name} cannot be read: "
            f"{', '.join(map(str, lost))}. Put them back, or have their minutes asked again: "
            "threadx compact --give-up-lost"
        )


def give_up_lost(store: Store) -> GivenUp:
    """Removes lost files from the catalog, with all candles and evidence in their ranges, so that the ledger is true.

    Candles and evidence in these ranges are removed from other files too: their minutes count as never requested.
    If it is interrupted, the next call continues, because the ledger says which candles there should be. Raises
    `StoreError`, also if no file at all is there, because then the data path cannot be reached. Raises `UsageError`
    if the store is a file.
    """
    lake = store.lake_for("give up lost files")
    lost = find_lost(store)
    if lost and len(lost) >= lake.files()[0]:
        raise StoreError(
            f"None of the files of {store.name} is under {lake.data_path()}. Is it mounted? If all of them are lost, "
            "drop its database and ingest again."
        )
    if lost:
        lake.forget([file.number for file in lost])
        # Writes the store's own description again, in case it was in a lost file.
        with store.writing():
            pass
    with store.reading() as session:
        ranges = sorted({*_ranges(session, lost), *_broken(session)}, key=lambda found: (found[0], found[1].start))
        natives = {symbol for file in lost if file.table in _OF_NATIVES for symbol in _symbols(session, file)}
    for symbol in sorted({symbol for symbol, _ in ranges} | natives):
        _remove(store, symbol, [span for name, span in ranges if name == symbol], natives=symbol in natives)
    return GivenUp(lost, ranges)


def _remove(store: Store, symbol: str, spans: list[TimeRange], *, natives: bool) -> None:
    def remove(session: Session) -> None:
        for span in spans:
            remove_evidence(session, symbol, span)
        if natives:
            session.run("remove/delete_natives", symbol=symbol)
            session.run("remove/delete_native_requests", symbol=symbol)

    store.change((symbol,), remove)


def _symbols(session: Session, file: LostFile) -> list[str]:
    if file.first_symbol is None:
        return []
    found = session.run("lake/symbols_between", first=file.first_symbol, last=file.last_symbol)
    return [str(row[0]) for row in found]


def _ranges(session: Session, lost: list[LostFile]) -> list[tuple[str, TimeRange]]:
    return [
        (symbol, TimeRange(file.start, file.end + MINUTE))
        for file in lost
        if file.table in _OF_MINUTES and file.start is not None and file.end is not None
        for symbol in _symbols(session, file)
    ]


def _broken(session: Session) -> list[tuple[str, TimeRange]]:
    """Returns the ranges in which the ledger and the candles contradict each other."""
    emptied = session.check(read_sql("checks/lost_candle"))["request_id"].to_pylist()
    rows = session.run("remove/broken_ranges", emptied=emptied)
    return [(row[0], TimeRange(row[1], row[2])) for row in rows]


def shown_ranges(ranges: list[tuple[str, TimeRange]]) -> list[str]:
    """Returns each range as options of the command line, with its end included."""
    return [
        f"{symbol} --start {format_time(span.start)} --end {format_time(max(span.start, span.end - MINUTE))}"
        for symbol, span in ranges
    ]
