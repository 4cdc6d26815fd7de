"""An overview of the stored candles: for each symbol, and for each month or day."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import pyarrow as pa

from threadx_duck.candles.ranges import TimeRange
from threadx_duck.candles.times import MINUTE
from threadx_duck.storage.store import Session, Store

Step = Literal["month", "day"]

_ABSENCES: pa.Schema = pa.schema(
    [
        ("symbol", pa.string()),
        ("gap_start", pa.timestamp("us")),
        ("gap_end", pa.timestamp("us")),
        ("reason", pa.string()),
    ]
)
_NO_SYMBOLS: list[str] = []


def read_overview(store: Store) -> pa.Table:
    """Returns one row per stored symbol (see ``sql/read/symbol_overview.sql``); no rows if there is no store."""
    if not store.exists:
        return pa.table({"symbol": pa.array([], pa.string())})
    return store.query("read/symbol_overview")


def map_coverage(store: Store, span: TimeRange, step: Step) -> pa.Table:
    """Returns how complete each symbol is in each month or day (UTC) of a range, and why minutes are absent.

    A minute before a symbol's first candle or after its last one counts as ``not_downloaded`` until a conclusive
    request covers it; after that it is not counted, because no candle is expected there. A cell without any counted
    minute is left out. See ``sql/read/coverage_cells.sql`` for the columns.
    """
    with store.reading() as session:
        absences = pa.concat_tables([_gaps(session, span), _never_asked(session, span)])
        with session.tables(absences=absences):
            return session.query("read/coverage_cells", start=span.start, end=span.end, step=f"1 {step}")


def _gaps(session: Session, span: TimeRange) -> pa.Table:
    gaps = session.query("read/gaps", symbols=_NO_SYMBOLS, start=span.start, end=span.end)
    return gaps.select(_ABSENCES.names).cast(_ABSENCES)


def _never_asked(session: Session, span: TimeRange) -> pa.Table:
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
    return pa.Table.from_pylist(
        [
            {"symbol": symbol, "gap_start": start, "gap_end": end, "reason": "not_downloaded"}
            for symbol, start, end in rows
        ],
        _ABSENCES,
    )


def _edges(span: TimeRange, first: datetime, last: datetime) -> list[TimeRange]:
    edges = [TimeRange(span.start, min(first, span.end)), TimeRange(max(last + MINUTE, span.start), span.end)]
    return [edge for edge in edges if edge.start < edge.end]
