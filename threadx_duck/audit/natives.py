"""The exchange's own candles of higher timeframes: which of them can be compared, and how they are stored.

They are fetched over REST and stored in ``native_candles``, each request with a ledger row. They are read only to
compare them with the candles that are derived from minutes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from threadx_duck.candles.arrays import integer
from threadx_duck.candles.ranges import TimeRange, join_ranges
from threadx_duck.candles.timeframes import ONE_MINUTE, TIMEFRAMES, Timeframe
from threadx_duck.candles.times import format_time
from threadx_duck.errors import BadResponseError
from threadx_duck.exchange.markets import PAGE_CANDLES
from threadx_duck.ledger.append import symbols_of
from threadx_duck.ledger.requests import Batch, OpenRequest, make_batches

if TYPE_CHECKING:
    from threadx_duck.exchange.rest import RestSource
    from threadx_duck.ledger.page import Page
    from threadx_duck.storage.store import Session, Store

# How many pages of one symbol may be in flight at once; the source limits the number for all symbols together.
_LOOKAHEAD = 8

# The exchange counts 3d candles from each symbol's listing day, so each symbol has a grid of its own.
_OWN_GRID = "3d"

_MICROSECOND = timedelta(microseconds=1)


def native_timeframe(timeframe: Timeframe) -> Timeframe | None:
    """Returns the exchange's own timeframe to compare with: the same one, or the largest one that divides it.

    Returns None if only 1m divides it, because the stored minutes cannot be compared with themselves.
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
    """Whether the days on which the exchange opens candles of this timeframe differ between symbols."""
    return timeframe.label == _OWN_GRID


def grid_of(timeframe: Timeframe) -> str:
    """Returns the distance between the times at which a candle of this timeframe may open, as an SQL interval."""
    return "1 day" if has_own_grid(timeframe) else timeframe.width


def fetch_candles(
    rest: RestSource, symbol: str, timeframe: Timeframe, ranges: Sequence[TimeRange]
) -> list[OpenRequest]:
    """Fetches the exchange's candles that open in some ranges, in as few requests as possible.

    Ranges that fit into one page are joined. Raises `DownloadError`, also for candles that cannot be of this
    timeframe; nothing is returned then.
    """
    requests: list[OpenRequest] = []
    for wanted in join_ranges(ranges, timeframe.step * PAGE_CANDLES):
        for page in rest.fetch_range(symbol, timeframe, wanted, _LOOKAHEAD):
            _require_grid(page, timeframe)
            if requests and requests[-1].joins(page):
                requests[-1].add(page)
            else:
                requests.append(OpenRequest(page))
    return requests


def _require_grid(page: Page, timeframe: Timeframe) -> None:
    """Raises `BadResponseError` if candles of an answer open at times at which this timeframe has none."""
    opens = page.candles["open_time"]
    off_grid = opens.filter(pc.invert(_are_on_grid(opens, timeframe)))
    unfloored = 0 if timeframe == ONE_MINUTE else pc.sum(pc.equal(page.rejected["reason"], "off_grid")).as_py() or 0
    count = len(off_grid) + unfloored
    if not count:
        return
    where = f", the first at {format_time(off_grid[0].as_py())}" if len(off_grid) else ""
    raise BadResponseError(
        f"{page.url} is no answer with {timeframe.label} candles: {count:,} of {page.rows_received:,} rows open off "
        f"that grid{where}. Nothing of it was stored. Look at [data.api] base_url."
    )


def _are_on_grid(opens: pa.ChunkedArray, timeframe: Timeframe) -> pa.ChunkedArray:
    if timeframe.minutes is None:
        return pc.equal(opens, pc.floor_temporal(opens, unit="month"))
    if has_own_grid(timeframe) and len(opens):
        step = integer(timeframe.step // _MICROSECOND)
        since = pc.subtract(opens.cast("int64"), integer(opens[0].value))
        steps = pc.equal(pc.multiply(pc.divide(since, step), step), since)
        return pc.and_(steps, pc.equal(opens, pc.floor_temporal(opens, unit="day")))
    if timeframe == TIMEFRAMES["1w"]:
        return pc.equal(opens, pc.floor_temporal(opens, unit="week"))
    return pc.equal(opens, pc.floor_temporal(opens, multiple=timeframe.minutes, unit="minute"))


def store_natives(store: Store, requests: Sequence[OpenRequest]) -> None:
    """Commits native candles with their ledger rows; the latest answer replaces earlier ones.

    Rejected rows are stored without a minute, because a fault of an hour says nothing about its first minute.
    """
    batches = make_batches(requests)
    store.change(symbols_of(batches), lambda session: _replace_natives(session, batches))


def _replace_natives(session: Session, batches: Sequence[Batch]) -> None:
    for batch in batches:
        minute = batch.rejected.schema.get_field_index("minute")
        unknown = pa.nulls(batch.rejected.num_rows, pa.timestamp("us"))
        rejected = batch.rejected.set_column(minute, "minute", unknown)
        with session.tables(incoming=batch.candles, incoming_rejected=rejected, incoming_requests=batch.requests):
            session.run("natives/find_natives")
            session.run("natives/remove_natives")
            session.run("natives/insert_natives")
            session.run("append/insert_rejected")
            session.run("natives/count_native_requests")
            session.run("append/insert_requests")
