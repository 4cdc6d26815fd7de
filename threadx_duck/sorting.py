"""Keeps the candles of a file in order: sorts the weeks that small appends have mixed.

Mixed symbols take twice the space. Only the order in the file changes, never what is stored.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from threadx_duck.archive_files import day_of
from threadx_duck.times import DAY, week_number, week_of

if TYPE_CHECKING:
    from threadx_duck.session import Session

# About four seconds' work.
_SORTED_ROWS = 5_000_000

_SORTED_WEEKS = 16


def sort_finished_weeks(session: Session, first: datetime, end: datetime) -> None:
    """Brings what lies before the week of an append's first minute into order of symbol and time, once a day.

    ``first`` and ``end`` bound what is about to be appended. Every second week is sorted together with the one
    before, every fourth with three, and so on: that is nearly as tight as sorting all, and sorts a candle five times
    at most. What is of very many symbols is left to ``compact``: sorting it would hold the file for too long. Raises
    `StoreError`; each candle is then where it was, or in its place.
    """
    last = session.run("sort/last_open_time")[0][0]
    if last is None or end <= day_of(last).end:
        return
    until = week_of(first).start
    ended = week_number(until)
    weeks = min(ended & -ended, _SORTED_WEEKS)
    while weeks:
        start = until - 7 * weeks * DAY
        first_row, last_row = session.run("sort/sorted_span", start=start, end=until)[0]
        if first_row is None:
            return
        if last_row - first_row < _SORTED_ROWS:
            _sort(session, start, until, weeks)
            return
        weeks //= 2


def _sort(session: Session, start: datetime, end: datetime, weeks: int) -> None:
    symbols, chunks, pairs = session.run("sort/count_chunks", start=start, end=end)[0]
    # A chunk more than one symbol lies in is where one follows another. The months that a backfill leaves one after
    # the other are long enough.
    if pairs <= chunks + symbols * (2 + weeks / 4):
        return
    session.run("sort/limit_memory")
    blocks = _file_blocks(session)
    _move_sorted(session, start, end)
    if _file_blocks(session) > blocks:
        # Moved once more, the candles take the place that they have left, and the file ends where it did.
        _move_sorted(session, start, end)
    session.run("append/lift_memory_limit")


def _move_sorted(session: Session, start: datetime, end: datetime) -> None:
    with session.transaction():
        first_row, last_row = session.run("sort/sorted_span", start=start, end=end)[0]
        session.run("sort/insert_sorted", first_row=first_row, last_row=last_row)
        session.run("sort/delete_mixed", first_row=first_row, last_row=last_row)
    # With the append behind it, the former place would stay taken until the next sorting.
    session.checkpoint()


def _file_blocks(session: Session) -> int:
    return int(session.run("queries/file_state")[0][1])
