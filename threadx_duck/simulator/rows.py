"""Renders candles as the exchange writes them, as JSON rows and CSV lines, whole columns at a time.

It builds decimals from integers, because a cast through Arrow's decimal type writes a small number as
``1E-8`` and is slower.
"""

from __future__ import annotations

from functools import cache
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from threadx_duck.simulator.rollup import bucket_ends

TimeUnit = Literal["ms", "us"]

_DIVISOR: dict[TimeUnit, int] = {"ms": 1_000, "us": 1}
# From here on the distance between neighbouring doubles is more than 1e-8.
_SPARSE_FROM = 2.0**26

_Pieces = list[pa.Array | str]


@cache
def _four_digits() -> pa.Array:
    return pa.array([f"{number:04d}" for number in range(10_000)])


def _decimal(values: pa.Array) -> _Pieces:
    """Returns the pieces of text that write doubles with eight decimals; parsing them gives the same doubles."""
    pieces: _Pieces = []
    extremes = pc.min_max(values).as_py()
    if (extremes["min"] or 0) < 0:
        pieces.append(pc.if_else(pc.less(values, 0), "-", ""))
        values = pc.abs(values)
    floor = pc.floor(values)
    remainder = pc.subtract(values, floor)
    fraction = pc.round(pc.multiply(remainder, 1e8))
    if max(-(extremes["min"] or 0), extremes["max"] or 0) >= _SPARSE_FROM:
        fraction = _fewest_digits(values, floor, remainder, fraction)
    fraction = fraction.cast(pa.int64())
    carried = pc.equal(fraction, 100_000_000)
    whole = pc.add(floor.cast(pa.int64()), carried.cast(pa.int64()))
    fraction = pc.if_else(carried, 0, fraction)
    upper = pc.divide(fraction, 10_000)
    lower = pc.subtract(fraction, pc.multiply(upper, 10_000))
    return [
        *pieces,
        whole.cast(pa.string()),
        ".",
        _four_digits().take(upper),
        _four_digits().take(lower),
    ]


def _fewest_digits(values: pa.Array, floor: pa.Array, remainder: pa.Array, fraction: pa.Array) -> pa.Array:
    """Drops the decimals that a double of this size cannot hold: 0.36000061 becomes 0.36."""
    for decimals in range(7, -1, -1):
        step = float(10 ** (8 - decimals))
        coarse = pc.multiply(pc.round(pc.multiply(remainder, 1e8 / step)), step)
        enough = pc.equal(pc.add(floor, pc.divide(coarse, 1e8)), values)
        fraction = pc.if_else(enough, coarse, fraction)
    return fraction


def _times(batch: pa.RecordBatch, interval: str, unit: TimeUnit, offset_us: int) -> tuple[pa.Array, pa.Array]:
    divisor = _DIVISOR[unit]
    open_us = batch.column("open_time").cast(pa.int64())
    closing = pc.subtract(bucket_ends(open_us, interval, offset_us=offset_us), divisor)
    if "close_time" in batch.schema.names:
        closing = pc.coalesce(batch.column("close_time").cast(pa.int64()), closing)
    return tuple(pc.divide(times, divisor).cast(pa.string()) for times in (open_us, closing))


def _lines(batch: pa.RecordBatch, times: tuple[pa.Array, pa.Array], *, start: str, quote: str, end: str) -> pa.Array:
    ignore = batch.column("ignore") if "ignore" in batch.schema.names else "0"
    between = f"{quote},{quote}"
    pieces: _Pieces = [start, times[0], f",{quote}"]
    for name in ("open", "high", "low", "close", "volume"):
        pieces += [*_decimal(batch.column(name)), between]
    pieces[-1] = f"{quote},"
    pieces += [times[1], f",{quote}", *_decimal(batch.column("quote_volume")), f"{quote},"]
    pieces += [batch.column("trade_count").cast(pa.string()), f",{quote}"]
    pieces += [*_decimal(batch.column("taker_buy_volume")), between]
    pieces += [*_decimal(batch.column("taker_buy_quote_volume")), between, ignore, end]
    return pc.binary_join_element_wise(*pieces, "")


def json_rows(batch: pa.RecordBatch, interval: str, unit: TimeUnit = "ms", *, offset_us: int = 0) -> pa.Array:
    """Returns one JSON array of twelve values per candle, each with a comma after it so that a page is one slice."""
    times = _times(batch, interval, unit, offset_us)
    return _lines(batch, times, start="[", quote='"', end='"],')


def csv_lines(batch: pa.RecordBatch, interval: str, unit: TimeUnit = "ms") -> bytes:
    """Returns the candles as the lines of an archive file, without a header."""
    if not batch.num_rows:
        return b""
    lines = _lines(batch, _times(batch, interval, unit, 0), start="", quote="", end="\n")
    offsets, data = lines.buffers()[1:]
    starts = memoryview(offsets).cast("i")[lines.offset :]
    return bytes(memoryview(data)[starts[0] : starts[len(lines)]])
