"""Finds what a lake's data path has lost or holds too much, and gives lost files up with all that rested on them."""

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

# What rests on the rows of a table: nothing where it names no minutes.
_OF_MINUTES = frozenset({"candles_1m", "requests", "rejected_rows", "revisions"})
_OF_NATIVES = frozenset({"native_candles", "requests"})


@dataclass(frozen=True)
class LostFile:
    """A file of the lake's current state that cannot be read: it is not there, or has not the bytes it should have.

    The symbols and times are the extremes of its rows, UTC, the last moment included; None where its table has none.
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
    """A Parquet file below the data path that no state of the lake knows; ``is_own`` if DuckLake has named it."""

    path: str
    bytes: int
    is_own: bool


@dataclass(frozen=True)
class GivenUp:
    """The files that were given up, and the ranges, symbol by symbol, whose minutes count as never asked for."""

    files: list[LostFile]
    ranges: list[tuple[str, TimeRange]]


def find_lost(store: Store) -> list[LostFile]:
    """The files that the lake's current state lacks. Raises `StoreError`; `UsageError` for a file."""
    return [LostFile(*row) for row in _list(store, "lake/lost_files")]


def find_unlisted(store: Store) -> list[UnlistedFile]:
    """The files that no state of the lake needs, those of a commit that runs included.

    Raises `StoreError`; `UsageError` for a file.
    """
    return [UnlistedFile(*row) for row in _list(store, "lake/unlisted_files")]


def _list(store: Store, name: str) -> list[tuple[Any, ...]]:
    files = store.lake.file_pattern()
    # What the store says of itself may lie in a file that is lost.
    with store.lake.connected(read_only=True) as session:
        return session.run(name, files=files)


def require_whole(store: Store) -> None:
    """Raises `StoreError` naming every file that the lake lacks."""
    lost = find_lost(store)
    if lost:
        raise StoreError(
            f"{len(lost):,} of {store.lake.files()[0]:,} files of {store.name} cannot be read: "
            f"{', '.join(map(str, lost))}. Put them back, or have their minutes asked again: "
            "threadx compact --give-up-lost"
        )


def give_up_lost(store: Store) -> GivenUp:
    """Takes lost files out of the catalog and removes what rested on them, so that the ledger is true again.

    All candles and evidence in the range of a lost file go, also those that lie in other files: they count as
    never asked for. Ended in the middle, it goes on when it is called again, because the ledger knows what candles
    there should be. Raises `StoreError`, also if no file at all is there: the data path is not reached then.
    Raises `UsageError` for a file.
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
        # Again, where the file is lost in which the store says what it is.
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
    """Where the ledger and the candles do not fit together."""
    emptied = session.check(read_sql("checks/lost_candle"))["request_id"].to_pylist()
    rows = session.run("remove/broken_ranges", emptied=emptied)
    return [(row[0], TimeRange(row[1], row[2])) for row in rows]


def shown_ranges(ranges: list[tuple[str, TimeRange]]) -> list[str]:
    """Each range as a command line takes it, its end included."""
    return [
        f"{symbol} --start {format_time(span.start)} --end {format_time(max(span.start, span.end - MINUTE))}"
        for symbol, span in ranges
    ]
