"""The market of a soak: two symbols, made up, with an outage and a row off the grid."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from threadx_duck.candles.times import MINUTE
from threadx_duck.simulator import Market, generate_market

SYMBOLS = ("BTCUSDC", "ETHUSDC")
BEGIN, START, STOP = datetime(2024, 1, 26), datetime(2024, 1, 28), datetime(2024, 2, 5)
NOW = datetime(2024, 2, 7, 12)
OUTAGE = (datetime(2024, 1, 29, 5, 20), datetime(2024, 1, 29, 6, 40))
OFF_GRID = datetime(2024, 1, 29, 6, 10, 17)


def make_market(symbols: tuple[str, ...] = SYMBOLS) -> Market:
    """Made-up candles with an outage of all, quiet minutes of one, and in the outage of one a row off the grid."""
    market = generate_market(
        symbols,
        start=BEGIN,
        end=NOW + timedelta(days=12),
        outages=[OUTAGE] if symbols == SYMBOLS else [],
        quiet={"ETHUSDC": 0.3},
    )
    if "BTCUSDC" in market:
        candles = market["BTCUSDC"].candles
        last = between(candles, OUTAGE[0] - MINUTE, OUTAGE[0])
        close = last["close"][0].as_py()
        row: dict[str, Any] = dict.fromkeys(("open", "high", "low", "close"), close)
        row |= {"open_time": OFF_GRID}
        odd = pa.Table.from_pylist([{name: row.get(name, 0) for name in candles.column_names}], schema=candles.schema)
        market.replace("BTCUSDC", pa.concat_tables([candles, odd]))
    return market


def between(candles: pa.Table, start: datetime, end: datetime) -> pa.Table:
    times = candles["open_time"]
    return candles.filter(pc.and_(pc.greater_equal(times, pa.scalar(start)), pc.less(times, pa.scalar(end))))
