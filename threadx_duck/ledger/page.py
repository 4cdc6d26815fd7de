"""What a source hands over: one answer as candles, with the evidence the ledger keeps of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from threadx_duck.candles.arrays import time
from threadx_duck.candles.ranges import TimeRange


@dataclass(frozen=True)
class Page:
    """One answer for one symbol.

    ``[range_start, range_end)`` is what it is conclusive for: empty if for nothing. ``candles`` has the
    columns of `threadx_duck.candles.klines.CANDLE_SCHEMA`, ascending, ``rejected`` those of ``REJECTED_SCHEMA``.
    ``bodies`` are the bytes received, in order; of a file, instead, ``sha256`` is known already.
    ``requested_at`` is the exchange's clock.
    """

    symbol: str
    timeframe: str
    source: str
    range_start: datetime
    range_end: datetime
    candles: pa.Table
    rejected: pa.Table
    url: str
    bodies: tuple[bytes, ...] = field(repr=False)
    requested_at: datetime
    seconds: float
    sha256: str | None = None

    @property
    def rows_received(self) -> int:
        """Every row of the answer, the rejected ones included."""
        return int(self.candles.num_rows + self.rejected.num_rows)

    def without_bodies(self) -> Page:
        """The same page once its bodies have been hashed, so that they need not be kept in memory."""
        return replace(self, bodies=())

    def clipped(self, wanted: TimeRange, conclusive: TimeRange | None) -> Page:
        """What the page holds of a range; conclusive for another, None for nothing."""
        start, end = wanted
        times = self.candles["open_time"]
        is_inside = not len(times) or start <= times[0].as_py() <= times[-1].as_py() < end
        minutes = self.rejected["minute"]
        return replace(
            self,
            range_start=conclusive.start if conclusive else start,
            range_end=conclusive.end if conclusive else start,
            candles=self.candles if is_inside else self.candles.filter(_are_within(times, wanted)),
            rejected=self.rejected.filter(pc.or_kleene(pc.is_null(minutes), _are_within(minutes, wanted))),
        )


def _are_within(times: pa.ChunkedArray, span: TimeRange) -> pa.ChunkedArray:
    return pc.and_(pc.greater_equal(times, time(span.start)), pc.less(times, time(span.end)))
