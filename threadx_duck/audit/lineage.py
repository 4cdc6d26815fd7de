"""Shows where candles come from: the evidence of one candle, and the values that later answers changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from threadx_duck.candles.klines import typed
from threadx_duck.candles.ranges import TimeRange
from threadx_duck.candles.timeframes import ONE_MINUTE, Timeframe
from threadx_duck.candles.times import MINUTE
from threadx_duck.texts.symbols import not_stored
from threadx_duck.texts.urls import without_user

if TYPE_CHECKING:
    import pyarrow as pa

    from threadx_duck.storage.store import Session, Store

Row = dict[str, Any]


@dataclass(frozen=True)
class Explanation:
    """Everything that is known about one candle, and the evidence for it.

    ``candle`` holds its values, None if it is absent. ``minutes`` are the stored minutes in it; ``absent`` are the
    runs without minutes, each with its reason: one of the reasons of the view ``gaps``, or ``before_first_candle``
    or ``after_last_candle`` of the symbol. ``requests`` are all requests that cover its minutes, with the number of
    stored minutes that each delivered. ``native`` is the exchange's own candle, if it was requested.
    ``unproven`` is the number of stored minutes that were imported and that no request to the exchange ever covered.
    """

    symbol: str
    timeframe: str
    open_time: datetime
    end_time: datetime
    candle: Row | None
    native: Row | None
    minutes: list[Row]
    absent: list[Row]
    requests: list[Row]
    revisions: list[Row]
    rejected: list[Row]
    unproven: int


def explain_candle(store: Store, symbol: str, moment: datetime, timeframe: Timeframe = ONE_MINUTE) -> Explanation:
    """Returns the evidence of the candle that contains a moment. Raises `UsageError` if the symbol is not stored."""
    (symbol,) = store.named([symbol])
    with store.reading() as session:
        first, last = _span(session, symbol)
        start, end = session.run("lineage/bucket_of", moment=moment, width=timeframe.width)[0]
        bounds = {"symbol": symbol, "start": start, "end": end}
        minutes = session.query("lineage/minutes", **bounds).to_pylist()
        candle = session.query("read/candles", width=timeframe.width, **bounds).to_pylist()
        native = session.query("lineage/native_candles", timeframe=timeframe.label, **bounds).to_pylist()
        gaps = session.query("read/gaps", symbols=[symbol], start=start, end=end).to_pylist()
        return Explanation(
            symbol=symbol,
            timeframe=timeframe.label,
            open_time=start,
            end_time=end,
            candle=candle[0] if candle else None,
            native=next((row for row in native if row["open_time"] == start), None),
            minutes=minutes,
            absent=_beyond(start, min(end, first), "before_first_candle")
            + [{name: gap[name] for name in ("gap_start", "gap_end", "missing", "reason")} for gap in gaps]
            + _beyond(max(start, last), end, "after_last_candle"),
            requests=_requests(session.query("lineage/requests_behind", timeframe=timeframe.label, **bounds)),
            revisions=_revisions(session, [symbol], TimeRange(start, end)),
            rejected=session.query("lineage/rejected_rows", **bounds).to_pylist(),
            unproven=int(session.run("lineage/unproven_minutes", **bounds)[0][0]),
        )


def list_revisions(store: Store, symbols: Sequence[str], start: datetime | None, end: datetime | None) -> list[Row]:
    """Returns each value in a range that a later answer changed, or would have changed. Raises `StoreError`."""
    chosen = store.named(symbols)
    with store.reading() as session:
        return _revisions(session, chosen, TimeRange.of(start, end))


def _requests(rows: pa.Table) -> list[Row]:
    """Returns the requests without the passwords that earlier versions stored in the URLs."""
    return [row | {"url": row["url"] and without_user(row["url"])} for row in rows.to_pylist()]


def _revisions(session: Session, symbols: Sequence[str], span: TimeRange) -> list[Row]:
    bounds = {"start": span.start, "end": span.end}
    rows: list[Row] = session.query("lineage/revisions", symbols=list(symbols), **bounds).to_pylist()
    for row in rows:
        row["old"], row["new"] = typed(row["field"], row["old"]), typed(row["field"], row["new"])
    return rows


def _span(session: Session, symbol: str) -> tuple[datetime, datetime]:
    """Returns the start of a symbol's first stored candle and the end of its last one."""
    spans = {name: (first, last + MINUTE) for name, first, last in session.run("read/symbol_spans")}
    if symbol not in spans:
        raise not_stored([symbol], spans)
    return spans[symbol]


def _beyond(start: datetime, end: datetime, reason: str) -> list[Row]:
    if start >= end:
        return []
    return [{"gap_start": start, "gap_end": end, "missing": (end - start) // MINUTE, "reason": reason}]
