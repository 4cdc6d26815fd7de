"""Makes up a market: plausible random-walk candles that keep every rule the real ones keep."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

import pyarrow as pa
import pyarrow.compute as pc

from threadx_duck.simulator.market import Market, SymbolMarket
from threadx_duck.simulator.rollup import MINUTE_US, to_eight_decimals, to_us

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

# Asset: first price in dollars, decimals of the price, decimals of the volume.
_ASSETS = {
    "BTC": (60_000.0, 2, 5),
    "ETH": (3_000.0, 2, 4),
    "SOL": (150.0, 2, 3),
    "BNB": (500.0, 1, 3),
    "XRP": (0.6, 4, 0),
    "ADA": (0.45, 4, 1),
    "DOGE": (0.12, 5, 0),
    "SHIB": (0.00002, 8, 0),
    "PEPE": (0.00001, 8, 0),
}
_ANY_ASSET = (10.0, 3, 2)

# The typical relative price move in a minute, and the typical turnover in a minute, in the quote asset.
_VOLATILITY = 0.0006
_TURNOVER = 50_000.0


def generate_market(
    symbols: Iterable[str] = ("BTCUSDC", "ETHUSDC", "SOLUSDC"),
    *,
    start: datetime,
    end: datetime,
    seed: int = 1,
    outages: Iterable[tuple[datetime, datetime]] = (),
    pauses: Mapping[str, tuple[datetime, datetime]] | None = None,
    listings: Mapping[str, datetime] | None = None,
    delistings: Mapping[str, datetime] | None = None,
    quiet: Mapping[str, float] | None = None,
) -> Market:
    """Returns a market of 1m candles that open in ``[start, end)``; the same arguments give the same market.

    Ranges are half-open, naive times are UTC. ``outages`` remove their minutes from every symbol, ``pauses``
    from one. A listing is a symbol's first minute. A delisting is the end of its last minute, and gives the
    symbol the status BREAK. ``quiet`` is the share of a symbol's minutes in which nothing trades.
    """
    holes = [(to_us(first), to_us(last)) for first, last in outages]
    market = Market()
    for symbol in symbols:
        own_holes = list(holes)
        if pauses and symbol in pauses:
            own_holes.append((to_us(pauses[symbol][0]), to_us(pauses[symbol][1])))
        first = max(to_us(start), to_us((listings or {}).get(symbol, start)))
        last = min(to_us(end), to_us((delistings or {}).get(symbol, end)))
        price, price_decimals, volume_decimals = _asset(symbol)
        market[symbol] = SymbolMarket(
            _walk(
                _minutes(first, last, own_holes),
                price=price,
                tick=10**price_decimals,
                lot=10**volume_decimals,
                quiet=(quiet or {}).get(symbol, 0.0),
                seed=(seed << 32) + crc32(symbol.encode()),
            ),
            status="BREAK" if symbol in (delistings or {}) else "TRADING",
            price_decimals=price_decimals,
            volume_decimals=volume_decimals,
        )
    return market


def _asset(symbol: str) -> tuple[float, int, int]:
    for asset, (price, price_decimals, volume_decimals) in _ASSETS.items():
        if symbol.startswith(asset):
            if symbol.endswith("BTC"):
                return price / _ASSETS["BTC"][0], 8, volume_decimals
            return price, price_decimals, volume_decimals
    return _ANY_ASSET


def _minutes(first: int, last: int, holes: list[tuple[int, int]]) -> pa.Array:
    """Returns the minutes (microseconds) that open in ``[first, last)`` and in none of the holes."""
    first = -(-first // MINUTE_US) * MINUTE_US
    count = max(0, -(-(last - first) // MINUTE_US))
    steps = pc.cumulative_sum(pa.repeat(pa.scalar(MINUTE_US, pa.int64()), count))
    minutes = pc.add(steps, first - MINUTE_US)
    for hole_start, hole_end in holes:
        outside = pc.or_(pc.less(minutes, hole_start), pc.greater_equal(minutes, hole_end))
        minutes = minutes.filter(outside)
    return minutes


def _walk(minutes: pa.Array, *, price: float, tick: int, lot: int, quiet: float, seed: int) -> pa.Table:
    """Returns a random walk over the minutes, in whole ticks and lots so that decimals are exact."""
    count = len(minutes)
    draws = iter(range(1_000))

    def uniform() -> pa.Array:
        return pc.random(count, initializer=(seed + next(draws) * 7_919) % 2**63)

    def whole(values: pa.Array) -> pa.Array:
        return pc.floor(values)

    # The sum of four uniforms is nearly normal; sqrt(3) scales it to unit variance.
    noise = pc.subtract(pc.add(pc.add(uniform(), uniform()), pc.add(uniform(), uniform())), 2.0)
    path = pc.exp(pc.cumulative_sum(pc.multiply(noise, _VOLATILITY * 3**0.5)))
    walked = pc.max_element_wise(pc.round(pc.multiply(path, price * tick)), 2.0)
    # A symbol has its first candle because something traded.
    traded = pa.concat_arrays([pa.array([True]), pc.greater_equal(uniform(), quiet).slice(1)]).slice(0, count)
    close = pc.if_else(traded, walked, pa.scalar(None, pa.float64()))
    first_close = pa.array([max(2.0, float(round(price * tick)))])
    # A minute without a trade repeats the last close, so the walk steps over it.
    close = pc.fill_null_forward(pa.concat_arrays([first_close, close]))
    before, close = close.slice(0, count), close.slice(1)
    slip = pc.subtract(whole(pc.multiply(uniform(), 3.0)), 1.0)
    opened = pc.if_else(traded, pc.max_element_wise(pc.add(before, slip), 2.0), close)
    reach = max(1.0, price * tick * _VOLATILITY)
    above = pc.add(pc.max_element_wise(opened, close), whole(pc.multiply(uniform(), reach)))
    below = pc.subtract(pc.min_element_wise(opened, close), whole(pc.multiply(uniform(), reach)))
    high = pc.if_else(traded, above, close)
    low = pc.if_else(traded, pc.max_element_wise(below, 1.0), close)

    size = pc.divide(_TURNOVER * lot / price, pc.add(pc.multiply(uniform(), 20.0), 0.5))
    lots = pc.if_else(traded, pc.add(whole(size), 1.0), 0.0)
    trades = pc.add(whole(pc.min_element_wise(pc.multiply(uniform(), 900.0), lots)), 1.0)
    taker_lots = whole(pc.multiply(lots, uniform()))
    average = pc.add(low, pc.multiply(pc.subtract(high, low), uniform()))
    volume, taker = pc.divide(lots, float(lot)), pc.divide(taker_lots, float(lot))
    value = pc.divide(average, float(tick))
    quote = to_eight_decimals(pc.multiply(volume, value))
    return pa.table(
        {
            "open_time": minutes.cast(pa.timestamp("us")),
            "open": pc.divide(opened, float(tick)),
            "high": pc.divide(high, float(tick)),
            "low": pc.divide(low, float(tick)),
            "close": pc.divide(close, float(tick)),
            "volume": volume,
            "quote_volume": quote,
            "trade_count": pc.if_else(traded, trades, 0.0).cast(pa.int64()),
            "taker_buy_volume": taker,
            "taker_buy_quote_volume": pc.min_element_wise(to_eight_decimals(pc.multiply(taker, value)), quote),
        }
    )
