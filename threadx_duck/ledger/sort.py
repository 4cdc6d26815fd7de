"""Keeps the candles of a file in order: sorts the days and weeks in which small appends have mixed symbols.

Mixed symbols take twice the space. Sorting changes only the order of rows in the file, never their content.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from threadx_duck.candles.ranges import day_of, week_number, week_of
from threadx_duck.candles.times import DAY

if TYPE_CHECKING:
    from threadx_duck.storage.session import Session

# Sorting so few rows takes about four seconds.
_SORTED_ROWS = 5_000_000

_SORTED_WEEKS = 16


def sort_finished(session: Session, first: datetime, end: datetime) -> None:
    """Sorts the weeks and the day before an append's first minute by symbol and time, once per day.

    ``first`` and ``end`` bound the candles to append. Every second week is sorted together with the one before,
    every fourth with three, and so on. That packs candles nearly as tightly as sorting all of them, and sorts a
    candle at most six times. With very many symbols only days are sorted, because more would hold the file for too
    long; ``compact`` does the rest. Raises `StoreError`; each candle is then in its old place or in its new one.
    """
    last = session.run("sort/last_open_time")[0][0]
    if last is None or end <= day_of(last).end:
        return
    session.run("sort/find_row_groups")
    monday = week_of(first).start
    ended = week_number(monday)
    weeks = min(ended & -ended, _SORTED_WEEKS)
    _sort_before(session, monday, [7 * (weeks >> halved) for halved in range(weeks.bit_length())])
    _sort_before(session, day_of(first).start, [1])


def _sort_before(session: Session, until: datetime, lengths: Iterable[int]) -> None:
    """Sorts the longest of the given numbers of days that does not exceed the row limit."""
    for days in lengths:
        start = until - days * DAY
        first_row, last_row = session.run("sort/sorted_span", start=start, end=until)[0]
        if first_row is None:
            return
        if last_row - first_row < _SORTED_ROWS:
            if _is_mixed(session, start, until):
                _sort(session, start, until)
            return


def _is_mixed(session: Session, start: datetime, end: datetime) -> bool:
    symbols, chunks, pairs = session.run("sort/count_chunks", start=start, end=end)[0]
    # A chunk with more than one symbol is where one symbol follows another. Months that a backfill stores one after
    # the other are long enough, so they do not count as mixed.
    follows = pairs - chunks
    return bool(follows > symbols * (2 + (end - start) / (28 * DAY)))


def _sort(session: Session, start: datetime, end: datetime) -> None:
    # With this limit a sort of five million candles spills to disk: half the memory, a third more time.
    session.limit_memory("500MB")
    blocks = _file_blocks(session)
    _move_sorted(session, start, end)
    if _file_blocks(session) > blocks:
        # A second move puts the candles into the space that the first one freed, and the file keeps its size.
        _move_sorted(session, start, end)
    session.limit_memory(None)


def _move_sorted(session: Session, start: datetime, end: datetime) -> None:
    with session.transaction():
        first_row, last_row = session.run("sort/sorted_span", start=start, end=end)[0]
        session.run("sort/insert_sorted", first_row=first_row, last_row=last_row)
        session.run("sort/delete_mixed", first_row=first_row, last_row=last_row)
    # Without a checkpoint before the append, the old space would stay in use until the next sort.
    session.checkpoint()
    session.run("sort/find_row_groups")


def _file_blocks(session: Session) -> int:
    return int(session.run("store/file_state")[0][1])
