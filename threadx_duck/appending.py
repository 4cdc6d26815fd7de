"""Appends answers to a session's store with all their evidence, and keeps a file's weeks in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from threadx_duck.archive_files import day_of
from threadx_duck.times import DAY, week_number, week_of

if TYPE_CHECKING:
    from threadx_duck.ledger import Batch
    from threadx_duck.session import Session

# About four seconds' work.
_SORTED_ROWS = 5_000_000

_SORTED_WEEKS = 16


@dataclass(frozen=True)
class Appended:
    """What became of one request's candles: how many were new, how many replaced or removed stored ones.

    An answer that goes on where a stored one ends has become part of that one's row in the ledger.
    """

    request_id: int
    rows_added: int
    rows_revised: int


def prepare_file(session: Session, batches: Sequence[Batch]) -> None:
    """What a file needs before `append_to_file`, outside the transaction; a lake sorts by itself."""
    bounds = [_bounds(batch) for batch in batches]
    if bounds:
        _sort_finished(session, min(first for first, _ in bounds), max(end for _, end in bounds))
    session.run("append/use_one_thread")


def append_to_file(session: Session, batches: Sequence[Batch]) -> list[Appended]:
    """Appends inside the transaction of the caller, sparing the memory that parsers need meanwhile."""
    return [row for batch in batches for row in _append(session, batch, spare_memory=True)]


def _sort_finished(session: Session, first: datetime, end: datetime) -> None:
    """Brings what lies before the week of an append's first minute into order of symbol and time, once a day.

    Small appends mix the symbols, which takes twice the space. Every second week is sorted together with the one
    before, every fourth with three, and so on: that is nearly as tight as sorting all, and moves a candle five times
    at most. Only the order in the file changes. What is of very many symbols is left to ``compact``: sorting it would
    hold the file for too long.
    """
    last = session.run("append/last_open_time")[0][0]
    if last is None or end <= day_of(last).end:
        return
    until = week_of(first).start
    ended = week_number(until)
    weeks = min(ended & -ended, _SORTED_WEEKS)
    while weeks:
        start = until - 7 * weeks * DAY
        first_row, last_row = session.run("append/sorted_span", start=start, end=until)[0]
        if first_row is None:
            return
        if last_row - first_row < _SORTED_ROWS:
            _sort(session, start, until, weeks)
            return
        weeks //= 2


def _sort(session: Session, start: datetime, end: datetime, weeks: int) -> None:
    symbols, chunks, pairs = session.run("append/count_chunks", start=start, end=end)[0]
    # A chunk more than one symbol lies in is where one follows another. The months that a backfill leaves one after
    # the other are long enough.
    if pairs <= chunks + symbols * (2 + weeks / 4):
        return
    session.run("append/limit_sorting")
    blocks = _file_blocks(session)
    _move_sorted(session, start, end)
    if _file_blocks(session) > blocks:
        # Moved once more, the candles take the place that they have left, and the file ends where it did.
        _move_sorted(session, start, end)
    session.run("append/lift_memory_limit")


def _move_sorted(session: Session, start: datetime, end: datetime) -> None:
    with session.transaction():
        first_row, last_row = session.run("append/sorted_span", start=start, end=end)[0]
        session.run("append/insert_sorted", first_row=first_row, last_row=last_row)
        session.run("append/delete_mixed", first_row=first_row, last_row=last_row)
    # With the append behind it, the former place would stay taken until the next sorting.
    session.checkpoint()


def _file_blocks(session: Session) -> int:
    return int(session.run("queries/file_state")[0][1])


def append_batches(session: Session, batches: Sequence[Batch]) -> list[Appended]:
    """Appends inside the transaction of the caller; see `Store.append`."""
    return [row for batch in batches for row in _append(session, batch)]


def symbols_of(batches: Sequence[Batch]) -> set[str]:
    """The symbols that batches speak of."""
    return {symbol for batch in batches for symbol in batch.requests["symbol"].to_pylist()}


def _append(session: Session, batch: Batch, *, spare_memory: bool = False) -> list[Appended]:
    first, last = _bounds(batch)
    with session.tables(incoming=batch.candles, incoming_rejected=batch.rejected, incoming_requests=batch.requests):
        stored = session.run("append/find_stored", first=first, last=last)[0][0]
        if spare_memory:
            session.run("append/lift_memory_limit" if stored else "append/limit_memory")
        if stored:
            session.run("append/record_revisions")
            session.run("append/remove_replaced", first=first, last=last)
        session.run("append/insert_candles" if stored else "append/insert_all_candles")
        if batch.rejected.num_rows:
            session.run("append/insert_rejected")
        session.run("append/find_continued")
        session.run("append/count_requests")
        session.run("append/insert_requests")
        appended = [Appended(*row) for row in session.run("append/outcomes")]
    if session.run("append/count_continued")[0][0]:
        # Whoever follows the market adds a minute a time: a row a day is evidence enough, a row a minute a burden.
        session.run("append/continue_candles", first=first, last=last)
        session.run("append/continue_rejected")
        session.run("append/continue_revisions")
        session.run("append/continue_requests")
        session.run("append/delete_continued")
    return appended


def _bounds(batch: Batch) -> tuple[datetime, datetime]:
    firsts, lasts = batch.requests["first_minute"].to_pylist(), batch.requests["last_minute"].to_pylist()
    return min(firsts), max(lasts)
