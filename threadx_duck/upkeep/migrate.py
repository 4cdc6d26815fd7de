"""Copies a store, with candles and evidence, from a file into a lake or back. Continues after an interruption.

Each symbol's candles are copied one year per transaction, then its evidence. Digests of months show which candles the
target has already. At the end both sides are compared: candles by their fingerprints, evidence by its digests.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from threadx_duck.audit.differences import is_same
from threadx_duck.audit.fingerprints import Fingerprint, compute_fingerprint
from threadx_duck.candles.ranges import TimeRange, month_of
from threadx_duck.candles.times import MINUTE
from threadx_duck.errors import StoreError, UsageError
from threadx_duck.storage.sqlfiles import list_sql

if TYPE_CHECKING:
    from threadx_duck.storage.store import Session, Store

# Each table of evidence, with the statements that delete a symbol's rows and that insert the new ones.
_EVIDENCE = {
    "requests": ("migrate/delete_requests", "migrate/insert_requests"),
    "rejected_rows": ("migrate/delete_rejected_rows", "migrate/insert_rejected_rows"),
    "revisions": ("migrate/delete_revisions", "migrate/insert_revisions"),
    "native_candles": ("remove/delete_natives", "migrate/insert_native_candles"),
}

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Migrated:
    """The result of a migration: the numbers of symbols and candles in both stores, and of candles copied this time.

    ``sha256`` is the fingerprint of all candles, the same on both sides.
    """

    symbols: int
    candles: int
    candles_copied: int
    sha256: str


class _Month(NamedTuple):
    """The candles of one symbol and month on one side: the last open time, their number, and their digest."""

    last_open_time: datetime
    candles: int
    digest: int


class _Content(NamedTuple):
    """The content of one side: ``months`` by symbol and month, ``evidence`` (rows and digest) by table and symbol."""

    months: dict[tuple[str, datetime], _Month]
    evidence: dict[tuple[str, str], tuple[int, int]]

    @property
    def symbols(self) -> set[str]:
        """The symbols with any candles or evidence."""
        return {symbol for symbol, _ in self.months} | {symbol for _, symbol in self.evidence}

    def evidence_of(self, symbol: str) -> list[tuple[int, int] | None]:
        """Returns the number of rows and the digest of a symbol's evidence in each table; None if it has none."""
        return [self.evidence.get((name, symbol)) for name in _EVIDENCE]


def migrate(source: Store, target: Store, progress: Progress = lambda _done, _total: None) -> Migrated:
    """Copies a store into another one that does not exist yet, or that an earlier migration of it has begun.

    ``progress`` is called with the number of candles copied and the number of all candles. Raises `UsageError` if
    the target holds anything else, `StoreError` if either store cannot be used, or if both differ in the end because
    another process wrote to one of them meanwhile.
    """
    if is_same(source, target):
        raise UsageError(f"{target.name} is this very store. Name another one.")
    source.upgrade_first()
    target.upgrade_first()
    _require_known_columns(source)
    there, here = _read(source), _read(target) if target.exists else _Content({}, {})
    _require_begun(target, there, here)
    ranges = {symbol: _missing(source, target, symbol, there, here) for symbol in sorted(there.symbols)}
    target.make()
    total = sum(month.candles for month in there.months.values())
    copied = 0
    for symbol, spans in ranges.items():
        for span in spans:
            copied += _copy_candles(source, target, symbol, span)
            progress(copied, total)
        if there.evidence_of(symbol) != here.evidence_of(symbol):
            _copy_evidence(source, target, symbol)
    _copy_age(source, target)
    fingerprint = _compare(source, target)
    symbols = len({month.symbol for month in fingerprint.months})
    return Migrated(symbols, sum(month.candles for month in fingerprint.months), copied, fingerprint.sha256)


def _read(store: Store) -> _Content:
    with store.reading() as session:
        months = {(row[0], row[1]): _Month(*row[2:]) for row in session.run("migrate/month_digests")}
        evidence = {(row[0], row[1]): (row[2], row[3]) for row in session.run("migrate/evidence_digests")}
    return _Content(months, evidence)


def _require_known_columns(source: Store) -> None:
    """Raises `UsageError` if the source's tables have additional columns, because these would be lost."""
    known = {file.relation: file.columns for file in list_sql("schema")}
    with source.reading() as session:
        there = session.run("migrate/columns")
    extra = [f"{table}.{column}" for table, column in there if table in known and column not in known[table]]
    if extra:
        raise UsageError(
            f"{source.name} has columns that do not belong to it and would be lost: {', '.join(extra)}. "
            "Make a copy with threadx backup, drop them there, and migrate the copy."
        )


def _require_begun(target: Store, there: _Content, here: _Content) -> None:
    """Raises `UsageError` if the target has symbols or months that the source does not have."""
    for symbol in sorted(here.symbols - there.symbols):
        raise _other_content(target, f"something of {symbol}")
    for symbol, month in sorted(here.months.keys() - there.months.keys()):
        raise _other_content(target, f"candles of {symbol} in {month:%Y-%m}")


def _missing(source: Store, target: Store, symbol: str, there: _Content, here: _Content) -> list[TimeRange]:
    """Returns the ranges of a symbol that have to be copied, each at most a year long.

    Raises `UsageError` if the target has other candles than the source.
    """
    ranges: list[TimeRange] = []
    for month in sorted(month for name, month in there.months if name == symbol):
        stored = here.months.get((symbol, month))
        if stored == there.months[symbol, month]:
            continue
        start, end = month_of(month)
        if stored is not None:
            # This month was copied before the source grew.
            start = stored.last_open_time + MINUTE
            if _digest(source, symbol, month, start) != stored.digest:
                raise _other_content(target, f"candles of {symbol} in {month:%Y-%m}")
        if ranges and ranges[-1].end == start and ranges[-1].start.year == start.year:
            ranges[-1] = TimeRange(ranges[-1].start, end)
        else:
            ranges.append(TimeRange(start, end))
    return ranges


def _other_content(target: Store, what: str) -> UsageError:
    return UsageError(
        f"{target.name} holds {what} that the store to be copied does not hold so. Name a target that is not there yet."
    )


def _digest(store: Store, symbol: str, start: datetime, end: datetime) -> int | None:
    with store.reading() as session:
        found = session.run("migrate/range_digest", symbol=symbol, start=start, end=end)[0][0]
    return None if found is None else int(found)


def _copy_candles(source: Store, target: Store, symbol: str, span: TimeRange) -> int:
    parameters = {"symbol": symbol, "start": span.start, "end": span.end}
    candles = source.query("migrate/candles", **parameters)

    def insert(session: Session) -> None:
        if session.run("read/count_candles", **parameters)[0][0]:
            raise StoreError(f"Somebody else writes to {target.name}. Run the same command again when that is done.")
        with session.tables(incoming=candles):
            session.run("append/insert_all_candles")

    def keep_order(session: Session) -> None:
        if target.keeps_order:
            session.use_one_thread()

    target.change((symbol,), insert, keep_order)
    return int(candles.num_rows)


def _copy_evidence(source: Store, target: Store, symbol: str) -> None:
    """Replaces the target's evidence of a symbol by the source's."""
    with source.reading() as session:
        tables = {name: session.query("migrate/evidence", table=name, symbol=symbol) for name in _EVIDENCE}

    def replace(session: Session) -> None:
        for name, (delete, insert) in _EVIDENCE.items():
            session.run(delete, symbol=symbol)
            if tables[name].num_rows:
                with session.tables(incoming=tables[name]):
                    session.run(insert)

    target.change((symbol,), replace)


def _copy_age(source: Store, target: Store) -> None:
    info, copied = source.info(), target.info()
    if info is not None and copied is not None and info.created_at != copied.created_at:
        target.change((), lambda session: session.run("migrate/set_created_at", created_at=info.created_at))


def _compare(source: Store, target: Store) -> Fingerprint:
    """Returns the fingerprint of both stores. Raises `StoreError` if they differ."""
    ours, theirs = compute_fingerprint(source), compute_fingerprint(target)
    differing = sorted({f"candles of {month.symbol}" for month in {*ours.months} ^ {*theirs.months}})
    before, after = _read(source), _read(target)
    differing += sorted({f"{key[0]} of {key[1]}" for key, _ in before.evidence.items() ^ after.evidence.items()})
    differing += sorted({f"candles of {key[0]}" for key, _ in before.months.items() ^ after.months.items()})
    if differing:
        raise StoreError(
            f"{target.name} differs from {source.name} in {', '.join(dict.fromkeys(differing))}: "
            "somebody wrote to one of them meanwhile. Run the same command again."
        )
    return ours
