"""An overview of the stored candles: for each symbol, and for each month or day.

One truth, whoever shows it: minutes count from a symbol's first to its last candle, the statement
``sql/session/percent_complete.sql`` gives the percentage, and `show_percent` its text.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import pyarrow as pa

from threadx_duck.candles.ranges import TimeRange
from threadx_duck.candles.times import MINUTE
from threadx_duck.storage.store import Session, Store

Step = Literal["month", "day"]

_RANGES: pa.Schema = pa.schema(
    [("symbol", pa.string()), ("range_start", pa.timestamp("us")), ("range_end", pa.timestamp("us"))]
)


def show_percent(complete: float) -> str:
    """Returns a percentage of `percent_complete` as every table and page shows it, such as ``99.85 %``."""
    return f"{complete:.2f} %"


def read_overview(store: Store) -> pa.Table:
    """Returns one row per stored symbol (see ``sql/read/symbol_overview.sql``); no rows if there is no store."""
    if not store.exists:
        return pa.table({"symbol": pa.array([], pa.string())})
    return store.query("read/symbol_overview")


def map_coverage(store: Store, span: TimeRange, step: Step) -> pa.Table:
    """Returns how complete each symbol is in each month or day (UTC) of a range, and why minutes are absent.

    A minute before a symbol's first candle or after its last one is never ``not_downloaded``, because no candle is
    expected there: ``not_asked`` counts those of them that no conclusive request covers, apart from the others. A
    cell without any counted minute is left out. See ``sql/read/coverage_cells.sql`` for the columns.
    """
    with store.reading() as session, session.tables(not_asked=_not_asked(session, span)):
        return session.query("read/coverage_cells", start=span.start, end=span.end, step=f"1 {step}")


def read_whole_coverage(store: Store) -> tuple[pa.Table, pa.Table]:
    """Returns `read_overview`, and the cells of every month from each symbol's first to its last candle.

    Both show one state of the store; no rows if it holds no candle. Raises `StoreError` if there is no store.
    """
    with store.reading() as session, session.tables(not_asked=_RANGES.empty_table()):
        overview = session.query("read/symbol_overview")
        months = session.query("read/coverage_cells", start=datetime.min, end=datetime.max, step="1 month")
    return overview, months


def _not_asked(session: Session, span: TimeRange) -> pa.Table:
    """Returns the ranges before each symbol's first candle and after its last one that no conclusive request covers."""
    edges = [
        (symbol, *edge)
        for symbol, first, last in session.run("read/symbol_spans")
        for edge in _edges(span, first, last)
    ]
    columns: dict[str, list[Any]] = dict(
        zip(("symbols", "starts", "ends"), map(list, zip(*edges, strict=True)), strict=False)
    )
    rows = session.run("missing/uncovered_ranges", **columns) if edges else []
    return pa.Table.from_pylist([dict(zip(_RANGES.names, row, strict=True)) for row in rows], _RANGES)


def _edges(span: TimeRange, first: datetime, last: datetime) -> list[TimeRange]:
    edges = [TimeRange(span.start, min(first, span.end)), TimeRange(max(last + MINUTE, span.start), span.end)]
    return [edge for edge in edges if edge.start < edge.end]
