"""The exchange's candle intervals, and the rule by which it rolls 1m candles up into them.

Prices come only from minutes with trades, because a minute without a trade repeats the last close
and the exchange leaves it out; if no minute traded, all four prices are that close. Other columns are sums.
This code shares nothing with the SQL views on purpose: tests compare the two.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

MINUTE_US = 60_000_000
DAY_US = 1_440 * MINUTE_US

# Width in microseconds; a month has none.
INTERVALS: dict[str, int | None] = {
    "1s": 1_000_000,
    "1m": MINUTE_US,
    "3m": 3 * MINUTE_US,
    "5m": 5 * MINUTE_US,
    "15m": 15 * MINUTE_US,
    "30m": 30 * MINUTE_US,
    "1h": 60 * MINUTE_US,
    "2h": 120 * MINUTE_US,
    "4h": 240 * MINUTE_US,
    "6h": 360 * MINUTE_US,
    "8h": 480 * MINUTE_US,
    "12h": 720 * MINUTE_US,
    "1d": DAY_US,
    "3d": 3 * DAY_US,
    "1w": 7 * DAY_US,
    "1M": None,
}

# 1970-01-01 was a Thursday; weeks open on Monday.
_FIRST_MONDAY_US = 4 * DAY_US

_SUMS = ("volume", "quote_volume", "trade_count", "taker_buy_volume", "taker_buy_quote_volume")


def bucket_starts(open_us: pa.Array, interval: str, *, listed_us: int = 0, offset_us: int = 0) -> pa.Array:
    """Returns the open times of the buckets (int64 microseconds) for open times of candles in microseconds.

    ``listed_us`` is the symbol's first open time; the exchange counts ``3d`` from that day.
    ``offset_us`` is how far the requested time zone is ahead of UTC.
    """
    width = INTERVALS[interval]
    shifted = pc.add(open_us, offset_us)
    if width is None:
        months = pc.floor_temporal(shifted.cast(pa.timestamp("us")), unit="month")
        return pc.subtract(months.cast(pa.int64()), offset_us)
    anchor = {"3d": listed_us // DAY_US * DAY_US, "1w": _FIRST_MONDAY_US}.get(interval, 0) % width
    buckets = pc.multiply(pc.divide(pc.subtract(shifted, anchor), width), width)
    return pc.add(buckets, anchor - offset_us)


def bucket_ends(open_us: pa.Array, interval: str, *, offset_us: int = 0) -> pa.Array:
    """Returns the first microsecond after each bucket that opens at ``open_us``."""
    width = INTERVALS[interval]
    if width is None:
        # 32 days after the first instant of a month is always in the next month.
        return bucket_starts(pc.add(open_us, 32 * DAY_US), interval, offset_us=offset_us)
    return pc.add(open_us, width)


def to_eight_decimals(values: pa.Array) -> pa.Array:
    """Returns the values rounded to eight decimals, as the doubles that parsing their text would give."""
    # pc.round multiplies by an inexact 1e-8 at the end; a division rounds correctly.
    return pc.divide(pc.round(pc.multiply(values, 1e8)), 1e8)


def roll_up(candles: pa.Table, interval: str, *, offset_us: int = 0) -> pa.Table:
    """Returns the candles of ``interval``, made of 1m candles in order of open_time, without empty buckets."""
    if not candles.num_rows:
        return candles.select([*("open_time", "open", "high", "low", "close"), *_SUMS])
    open_us = candles["open_time"].combine_chunks().cast(pa.int64())
    traded = pc.greater(candles["volume"], 0)
    prices = {
        name: pc.if_else(traded, candles[name], pa.scalar(None, pa.float64()))
        for name in ("open", "high", "low", "close")
    }
    buckets = bucket_starts(open_us, interval, listed_us=open_us[0].as_py(), offset_us=offset_us)
    grouped = (
        pa.table(
            {
                "bucket": buckets,
                **prices,
                "last_close": candles["close"],
                **{name: candles[name] for name in _SUMS},
            }
        )
        # first and last follow the order of the rows only on one thread.
        .group_by("bucket", use_threads=False)
        .aggregate(
            [
                ("open", "first"),
                ("high", "max"),
                ("low", "min"),
                ("close", "last"),
                ("last_close", "last"),
                *((name, "sum") for name in _SUMS),
            ]
        )
        # The hashes decide the order of the groups.
        .sort_by("bucket")
    )
    last_close = grouped["last_close_last"]
    columns = {
        "open_time": grouped["bucket"].cast(pa.timestamp("us")),
        "open": pc.coalesce(grouped["open_first"], last_close),
        "high": pc.coalesce(grouped["high_max"], last_close),
        "low": pc.coalesce(grouped["low_min"], last_close),
        "close": pc.coalesce(grouped["close_last"], last_close),
    }
    for name in _SUMS:
        total = grouped[f"{name}_sum"]
        columns[name] = total if name == "trade_count" else to_eight_decimals(total)
    return pa.table(columns)


def to_us(moment: datetime) -> int:
    """Returns the microseconds from 1970 to a datetime; a naive datetime is UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    # timestamp() returns a float, which loses microseconds.
    delta = aware - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
