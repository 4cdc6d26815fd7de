"""The exchange's data: each symbol's 1m candles, its status, and its candles of other intervals."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from threadx_duck.errors import UsageError
from threadx_duck.simulator.rollup import INTERVALS, roll_up, to_eight_decimals

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_PRICES = ("open", "high", "low", "close")
_DERIVED = ("quote_volume", "trade_count", "taker_buy_volume", "taker_buy_quote_volume")


def complete_candles(candles: pa.Table) -> pa.Table:
    """Returns the candles in the order and types in which the exchange serves them, with every column.

    Columns: open_time (timestamp[us], UTC), open, high, low, close, volume, quote_volume, trade_count,
    taker_buy_volume, taker_buy_quote_volume, and if given close_time (timestamp[us]; null where it is
    the usual last instant) and ignore (text). A missing value gets one that agrees with the rest:
    the quote volume is the volume at the close, there is one trade if there was volume, and no taker buys.
    """
    columns = {"open_time": candles["open_time"].cast(pa.timestamp("us"))}
    for name in (*_PRICES, "volume"):
        columns[name] = candles[name].cast(pa.float64())
    volume = columns["volume"]
    derived = {
        "quote_volume": to_eight_decimals(pc.multiply(columns["close"], volume)),
        "trade_count": pc.greater(volume, 0).cast(pa.int64()),
        "taker_buy_volume": pc.multiply(volume, 0.0),
        "taker_buy_quote_volume": pc.multiply(volume, 0.0),
    }
    for name, fallback in derived.items():
        given = candles[name].cast(fallback.type) if name in candles.column_names else fallback
        columns[name] = pc.coalesce(given, fallback)
    if "close_time" in candles.column_names:
        columns["close_time"] = candles["close_time"].cast(pa.timestamp("us"))
    if "ignore" in candles.column_names:
        columns["ignore"] = pc.coalesce(candles["ignore"].cast(pa.string()), "0")
    return pa.table(columns).combine_chunks()


def open_times(candles: pa.Table) -> memoryview:
    """Returns the open times in microseconds, in a form that can be searched without a Python object per row."""
    opened = candles["open_time"].combine_chunks().cast(pa.int64())
    buffer = opened.buffers()[1]
    return memoryview(buffer or b"").cast("q")[opened.offset : opened.offset + len(opened)]


def _sorted(candles: pa.Table) -> pa.Table:
    opened = candles["open_time"].combine_chunks().cast(pa.int64())
    if pc.any(pc.less(pc.pairwise_diff(opened), 0)).as_py():
        return candles.sort_by("open_time").combine_chunks()
    return candles


@dataclass(frozen=True, eq=False)
class SymbolMarket:
    """One symbol: its 1m candles, and how the exchange lists it.

    ``candles`` may lack value columns (see :func:`complete_candles`) and contain odd rows: off the minute
    grid, repeated, closing early. ``native`` gives candles of other intervals that replace the roll-up of
    the 1m candles. The decimals are those of the tick and the lot in exchangeInfo.
    """

    candles: pa.Table
    status: str = "TRADING"
    native: Mapping[str, pa.Table] = field(default_factory=dict)
    price_decimals: int = 8
    volume_decimals: int = 8
    _rolled: dict[tuple[str, int], pa.Table] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "candles", _sorted(complete_candles(self.candles)))

    def candles_of(self, interval: str, *, offset_us: int = 0) -> pa.Table:
        """Returns the candles of one interval: those given, else the 1m candles rolled up (and keeps that result).

        ``offset_us`` is how far the time zone of the bucket boundaries is ahead of UTC.
        """
        if interval not in INTERVALS:
            message = f"Unknown interval {interval!r}. The exchange has {', '.join(INTERVALS)}."
            raise UsageError(message)
        if interval == "1m":
            return self.candles
        key = (interval, offset_us)
        if key not in self._rolled:
            self._rolled[key] = self._make(interval, offset_us)
        return self._rolled[key]

    def candles_between(self, interval: str, start_us: int, end_us: int) -> pa.Table:
        """Returns the candles that open in ``[start_us, end_us)``; both bounds are in microseconds."""
        candles = self.candles_of(interval)
        opened = open_times(candles)
        first = bisect_left(opened, start_us)
        return candles.slice(first, bisect_left(opened, end_us) - first)

    def _make(self, interval: str, offset_us: int) -> pa.Table:
        if interval == "1s":
            # Seconds cannot be had from minutes.
            return self.candles.slice(0, 0)
        rolled = complete_candles(roll_up(self.candles, interval, offset_us=offset_us))
        if offset_us or interval not in self.native:
            return rolled
        return _sorted(_fill_from(self.native[interval], rolled))


class Market(dict[str, SymbolMarket]):
    """Every symbol that the exchange knows, by name.

    Entries are immutable: :meth:`replace` puts a changed one in place, even while an exchange serves it.
    """

    def native(self, symbol: str, interval: str) -> pa.Table:
        """Returns the exchange's own candles of a symbol and an interval, such as ``5m`` or ``1M``."""
        return self[symbol].candles_of(interval)

    def replace(self, symbol: str, candles: pa.Table | None = None, *, status: str | None = None) -> None:
        """Gives a symbol other 1m candles, another status, or both. A new symbol needs candles."""
        if symbol not in self:
            if candles is None:
                message = f"{symbol} is not in this market; a new symbol needs candles."
                raise UsageError(message)
            self[symbol] = SymbolMarket(candles, status=status or "TRADING")
            return
        old = self[symbol]
        self[symbol] = replace(
            old,
            candles=old.candles if candles is None else candles,
            status=status or old.status,
        )


def read_market(candles_path: str | Path, native_path: str | Path | None = None) -> Market:
    """Reads a market of recorded candles.

    ``candles_path`` is a Parquet file of 1m candles with a symbol column; ``native_path`` is one of candles
    of other intervals, with the columns symbol and timeframe (its ``1mo`` is the exchange's ``1M``).
    """
    candles = pq.read_table(candles_path)
    natives: dict[str, dict[str, pa.Table]] = {}
    if native_path is not None:
        table = pq.read_table(native_path)
        for symbol in _names(table, "symbol"):
            of_symbol = table.filter(pc.equal(table["symbol"], symbol))
            natives[symbol] = {
                timeframe.replace("mo", "M"): of_symbol.filter(pc.equal(of_symbol["timeframe"], timeframe))
                for timeframe in _names(of_symbol, "timeframe")
            }
    return Market(
        {
            symbol: SymbolMarket(candles.filter(pc.equal(candles["symbol"], symbol)), native=natives.get(symbol, {}))
            for symbol in _names(candles, "symbol")
        }
    )


def _names(table: pa.Table, column: str) -> list[str]:
    names: list[str] = pc.unique(table[column]).to_pylist()
    return sorted(names)


def _fill_from(native: pa.Table, rolled: pa.Table) -> pa.Table:
    """Returns native candles with the value columns that they lack: the roll-up's, within the bounds of their own."""
    missing = [name for name in _DERIVED if name not in native.column_names]
    if not missing:
        return complete_candles(native)
    kept = native.select([name for name in native.column_names if name not in {"symbol", "timeframe"}])
    joined = complete_candles(kept.join(rolled.select(["open_time", *missing]), "open_time"))
    volume = joined["volume"]
    bounds = {
        # The quote volume lies between the volume at the lowest price and the volume at the highest price.
        "quote_volume": (pc.multiply(joined["low"], volume), pc.multiply(joined["high"], volume)),
        "taker_buy_volume": (pa.scalar(0.0), volume),
        "trade_count": (pc.greater(volume, 0).cast(pa.int64()), pa.scalar(2**62, pa.int64())),
    }
    for name in missing:
        low, high = bounds.get(name, (pa.scalar(0.0), joined["quote_volume"]))
        clipped = pc.min_element_wise(pc.max_element_wise(joined[name], low), high)
        joined = joined.set_column(joined.schema.get_field_index(name), name, clipped)
    return joined
