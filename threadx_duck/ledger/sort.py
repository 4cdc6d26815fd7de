"""Keeps the candles of a file in order: sorts the days and weeks that small appends have mixed.

Mixed symbols take twice the space. Only the order in the file changes, never what is stored.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from threadx_duck.candles.ranges import day_of, week_number, week_of
from threadx_duck.candles.times import DAY

if TYPE_CHECKING:
    from threadx_duck.storage.session import Session

# About four seconds' work.
_SORTED_ROWS = 5_000_000

_SORTED_WEEKS = 16


def sort_finished(session: Session, first: datetime, end: datetime) -> None:
    """Brings the weeks and the day before an append's first minute into order of symbol and time, once a day.

    ``first`` and ``end`` bound what is about to be appended. Every second week is sorted together with the one
    before, every fourth with three, and so on: that is nearly as tight as sorting all, and sorts a candle six times
    at most. Of very many symbols only days are sorted, the rest is left to ``compact``: it would hold the file for
    too long. Raises `StoreError`; each candle is then where it was, or in its place.
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
    """Sorts as many days as may be, of the numbers given."""
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
    # A chunk that more than one symbol lies in is where one follows another. The months that a backfill leaves one
    # after the other are long enough.
    follows = pairs - chunks
    return bool(follows > symbols * (2 + (end - start) / (28 * DAY)))


def _sort(session: Session, start: datetime, end: datetime) -> None:
    # Lets a sort of five million candles spill to disk: half the memory for a third more time.
    session.limit_memory("500MB")
    blocks = _file_blocks(session)
    _move_sorted(session, start, end)
    if _file_blocks(session) > blocks:
        # Moved once more, the candles take the place that they have left, and the file ends where it did.
        _move_sorted(session, start, end)
    session.limit_memory(None)


def _move_sorted(session: Session, start: datetime, end: datetime) -> None:
    with session.transaction():
        first_row, last_row = session.run("sort/sorted_span", start=start, end=end)[0]
        session.run("sort/insert_sorted", first_row=first_row, last_row=last_row)
        session.run("sort/delete_mixed", first_row=first_row, last_row=last_row)
    # With the append behind it, the former place would stay taken until the next sorting.
    session.checkpoint()
    session.run("sort/find_row_groups")


def _file_blocks(session: Session) -> int:
    return int(session.run("store/file_state")[0][1])
