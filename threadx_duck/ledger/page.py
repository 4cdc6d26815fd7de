"""One answer of a source: its candles, with the evidence that the ledger keeps."""

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

    The answer is conclusive for ``[range_start, range_end)``; if that is empty, for nothing. ``candles`` has
    the columns of `threadx_duck.candles.klines.CANDLE_SCHEMA`, ascending by time, ``rejected`` those of
    ``REJECTED_SCHEMA``. ``bodies`` are the bytes received, in order; for a file, ``sha256`` is given instead.
    ``requested_at`` is a time of the exchange's clock.
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
        """The number of rows in the answer, including the rejected ones."""
        return int(self.candles.num_rows + self.rejected.num_rows)

    def without_bodies(self) -> Page:
        """Returns the page without its bodies, which need no memory once they are hashed."""
        return replace(self, bodies=())

    def clipped(self, wanted: TimeRange, conclusive: TimeRange | None) -> Page:
        """Returns the part of the page in ``wanted``, conclusive for the given range; for nothing if that is None."""
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
