"""What a source hands over: one answer as candles, with the evidence the ledger keeps of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

import pyarrow as pa


@dataclass(frozen=True)
class Page:
    """One answer for one symbol.

    ``[range_start, range_end)`` is what it is conclusive for: empty if for nothing. ``candles`` has the
    columns of `threadx_duck.candles.CANDLE_SCHEMA`, ascending, ``rejected`` those of ``REJECTED_SCHEMA``.
    ``bodies`` are the bytes received, in order; ``requested_at`` is the exchange's clock.
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

    @property
    def rows_received(self) -> int:
        """Every row of the answer, the rejected ones included."""
        return int(self.candles.num_rows + self.rejected.num_rows)

    def without_bodies(self) -> Page:
        """The same page once its bodies have been hashed, so that they need not be kept in memory."""
        return replace(self, bodies=())
