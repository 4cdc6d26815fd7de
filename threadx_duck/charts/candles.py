"""A chart of candles as an HTML page: prices, volume, gaps coloured by reason, and marks on incomplete candles.

TradingView's lightweight-charts draws it (Apache License 2.0; ``assets/lightweight-charts.LICENSE``). This package
contains the script as its makers publish it, because they maintain no PyPI package of it.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from threadx_duck.candles.reasons import COLOURS
from threadx_duck.candles.timeframes import Timeframe, parse_timeframe
from threadx_duck.charts.page import make_page, write_page
from threadx_duck.disk.whole_files import require_replaceable
from threadx_duck.errors import NoCandlesError

if TYPE_CHECKING:
    from threadx_duck.candles.times import TimeLike
    from threadx_duck.ingest import IngestionManager

# A page of this many candles takes about five megabytes, and a browser draws it in two seconds.
MOST_CANDLES = 100_000

# The exchange's prices have at most this many decimals.
_MOST_DECIMALS = 8

_BODY = """<main id="chart"></main>
<footer>
<nav aria-label="range"></nav>
<ul id="legend"></ul>
</footer>"""


def write_chart(
    manager: IngestionManager,
    symbol: str,
    timeframe: str,
    start_date: TimeLike | None = None,
    end_date: TimeLike | None = None,
    *,
    file: Path,
) -> str:
    """Writes the page of `make_chart` to a file and returns a sentence on what it shows.

    Raises `NoCandlesError` if there are no candles, `UsageError` if the file cannot be written.
    """
    require_replaceable(file)
    page, note = make_chart(manager, symbol, timeframe, start_date, end_date)
    write_page(file, page)
    return note


def make_chart(
    manager: IngestionManager,
    symbol: str,
    timeframe: str,
    start_date: TimeLike | None = None,
    end_date: TimeLike | None = None,
) -> tuple[str, str]:
    """Returns the chart of a symbol and timeframe as one HTML page, and a sentence on what it shows.

    Shows the stored candles that open in the range, the last `MOST_CANDLES` of them at most. Raises
    `NoCandlesError` if there are no candles.
    """
    chosen = parse_timeframe(timeframe)
    candles = manager.candles(symbol, timeframe, start_date, end_date)
    if not candles.num_rows:
        raise NoCandlesError(f"No {timeframe} candles of {symbol} open in that range.")
    left_out = max(0, candles.num_rows - MOST_CANDLES)
    candles = candles.slice(left_out)
    first, last = candles["open_time"][0].as_py(), candles["open_time"][-1].as_py()
    gaps = manager.gaps([symbol], first, end_date)
    note = _describe(candles, gaps, left_out, first, last)
    page = make_page(
        title=f"{symbol} {timeframe}",
        note=note,
        body=_BODY,
        styles=("candles.css",),
        scripts=("lightweight-charts.js", "candles.js"),
        data=_data(candles, gaps, chosen),
    )
    return page, note


def _describe(candles: pa.Table, gaps: pa.Table, left_out: int, first: datetime, last: datetime) -> str:
    incomplete = _incomplete(candles).num_rows
    span = f"from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC"
    parts = [
        f"{candles.num_rows:,} candle{'' if candles.num_rows == 1 else 's'} {span}",
        f"{incomplete:,} incomplete",
        f"{gaps.num_rows:,} gap{'' if gaps.num_rows == 1 else 's'}",
    ]
    if left_out:
        parts.append(f"{left_out:,} earlier candles are left out; give --start and --end to see them")
    return "; ".join(parts) + "."


def _data(candles: pa.Table, gaps: pa.Table, timeframe: Timeframe) -> dict[str, Any]:
    """Returns the columns that the script reads; each time is the number of seconds since the one before."""
    seconds = pc.divide(candles["open_time"].cast(pa.int64()), 1_000_000)
    first = seconds[0].as_py()
    steps = pc.subtract(seconds[1:], seconds[:-1])
    incomplete = _incomplete(candles)
    return {
        "first": first,
        "steps": steps.to_pylist(),
        "width": None if timeframe.minutes is None else timeframe.minutes * 60,
        "decimals": _decimals(candles),
        **{name: candles[name].to_pylist() for name in ("open", "high", "low", "close")},
        "volume": pc.round(candles["volume"], _MOST_DECIMALS).to_pylist(),
        "incomplete": [
            pc.index_in(incomplete["open_time"], candles["open_time"].combine_chunks()).to_pylist(),
            incomplete["minutes"].to_pylist() if "minutes" in incomplete.column_names else [],
            incomplete["expected_minutes"].to_pylist() if "minutes" in incomplete.column_names else [],
        ],
        "gaps": [
            pc.divide(gaps["gap_start"].cast(pa.int64()), 1_000_000).to_pylist(),
            pc.divide(gaps["gap_end"].cast(pa.int64()), 1_000_000).to_pylist(),
            gaps["missing"].to_pylist(),
            gaps["reason"].to_pylist(),
        ],
        "colours": COLOURS,
    }


def _decimals(candles: pa.Table) -> int:
    """Returns how many decimals the prices have, so that the axis shows the same number."""
    prices = [candles[name] for name in ("open", "high", "low", "close")]
    for decimals in range(_MOST_DECIMALS):
        if all(pc.all(pc.equal(pc.round(price, decimals), price)).as_py() for price in prices):
            return decimals
    return _MOST_DECIMALS


def _incomplete(candles: pa.Table) -> pa.Table:
    """Returns the candles that lack minutes; a 1m candle never lacks any."""
    if "is_complete" not in candles.column_names:
        return candles.slice(0, 0)
    return candles.filter(~pc.field("is_complete"))
