"""Reads from the store what the list and the coverage map show. No Tk here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from threadx_duck.audit.coverage import Step
from threadx_duck.candles.ranges import month_of
from threadx_duck.candles.times import floor_minute, utc_now
from threadx_duck.data_manager.coverage.cells import Cell, column_starts, read_cells
from threadx_duck.ingest import IngestionManager


class Snapshot(NamedTuple):
    """What was read: the rows of `IngestionManager.overview`, and the cells of a month's days or of all months."""

    rows: Sequence[Mapping[str, Any]]
    month: datetime | None
    columns: Sequence[datetime]
    cells: Mapping[tuple[str, datetime], Cell]


def take_snapshot(manager: IngestionManager, month: datetime | None) -> Snapshot:
    """Reads the days of a month, or all months if ``month`` is None.

    Minutes in the future do not count as missing. Raises `StoreError`.
    """
    rows = manager.overview().to_pylist()
    if not rows:
        return Snapshot((), None, (), {})
    now = floor_minute(utc_now())
    step: Step = "month" if month is None else "day"
    if month is None:
        start = min(row["first_open_time"] for row in rows)
        end = max(now, *(row["last_open_time"] for row in rows))
    else:
        start, end = month, month_of(month).end
    columns = column_starts(start, end, step)
    until = min(end, now) if now > columns[0] else end
    cells = read_cells(manager.coverage_map(columns[0], until, step).to_pylist())
    return Snapshot(rows, month, columns, cells)
