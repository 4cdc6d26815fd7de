"""The exchange's own candles of higher timeframes: which ones serve a comparison, and how they are kept.

They are asked over REST, stored in ``native_candles`` with a ledger row each, and read only to be
compared with what is derived from minutes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from threadx_duck.appending import symbols_of
from threadx_duck.exchange import PAGE_CANDLES
from threadx_duck.ledger import Batch, OpenRequest, make_batches
from threadx_duck.timeframes import ONE_MINUTE, TIMEFRAMES, Timeframe
from threadx_duck.times import TimeRange, join_ranges

if TYPE_CHECKING:
    from threadx_duck.sources.rest import RestSource
    from threadx_duck.store import Session, Store

# Pages of one symbol on their way at once; the source bounds those of all symbols together.
_LOOKAHEAD = 8

# The exchange lays its 3d candles from each symbol's listing day on, so they fit no grid but their own.
_OWN_GRID = "3d"


def native_timeframe(timeframe: Timeframe) -> Timeframe | None:
    """The exchange's own timeframe to compare with: the same, or the largest one that divides it.

    None if only its minutes divide it, which are what is stored.
    """
    if timeframe == ONE_MINUTE:
        return None
    if timeframe.interval is not None:
        return timeframe
    divisors = [
        (other.minutes, other)
        for other in TIMEFRAMES.values()
        if other.interval is not None and other.minutes is not None and other not in (ONE_MINUTE, TIMEFRAMES[_OWN_GRID])
        if timeframe.minutes is not None and timeframe.minutes % other.minutes == 0
    ]
    return max(divisors, key=lambda pair: pair[0])[1] if divisors else None


def has_own_grid(timeframe: Timeframe) -> bool:
    """Whether the exchange opens candles of this timeframe on days that differ between symbols."""
    return timeframe.label == _OWN_GRID


def grid_of(timeframe: Timeframe) -> str:
    """The distance between the instants at which a candle of this timeframe may open, as text of an interval."""
    return "1 day" if has_own_grid(timeframe) else timeframe.width


def fetch_candles(
    rest: RestSource, symbol: str, timeframe: Timeframe, ranges: Sequence[TimeRange]
) -> list[OpenRequest]:
    """Asks the exchange for the candles that open in some ranges, in as few requests as they allow.

    Ranges that one page holds together become one. Raises `DownloadError`.
    """
    requests: list[OpenRequest] = []
    for wanted in join_ranges(ranges, timeframe.step * PAGE_CANDLES):
        for page in rest.fetch_range(symbol, timeframe, wanted, _LOOKAHEAD):
            if requests and requests[-1].joins(page):
                requests[-1].add(page)
            else:
                requests.append(OpenRequest(page))
    return requests


def store_natives(store: Store, requests: Sequence[OpenRequest]) -> None:
    """Commits native candles with their ledger rows; the latest answer stands.

    Rejected rows are kept without a minute: what is wrong with an hour says nothing of its first minute.
    """
    batches = make_batches(requests)
    store.change(symbols_of(batches), lambda session: _replace_natives(session, batches))


def _replace_natives(session: Session, batches: Sequence[Batch]) -> None:
    for batch in batches:
        minute = batch.rejected.schema.get_field_index("minute")
        unknown = pa.nulls(batch.rejected.num_rows, pa.timestamp("us"))
        rejected = batch.rejected.set_column(minute, "minute", unknown)
        with session.tables(incoming=batch.candles, incoming_rejected=rejected, incoming_requests=batch.requests):
            session.run("append/find_natives")
            session.run("append/remove_natives")
            session.run("append/insert_natives")
            session.run("append/insert_rejected")
            session.run("append/count_native_requests")
            session.run("append/insert_requests")
