-- quote_volume_outside_prices: Finds candles whose average price, quote by base volume, is not within low to high.
-- Columns:
--   symbol: the exchange's string
--   open_time: start of the minute, UTC
--   low: lowest price, in the quote asset
--   high: highest price, in the quote asset
--   volume: amount traded, in the base asset
--   quote_volume: amount traded, in the quote asset
--   trade_count: number of trades
--   request_id: the request that brought the candle
select symbol, open_time, low, high, volume, quote_volume, trade_count, request_id
from candles_1m
-- The exchange rounds the quote amount of every trade to eight decimals; 1e-12 allows for our own arithmetic.
where
    quote_volume < low * volume * (1 - 1e-12) - 1e-8 * trade_count
    or quote_volume > high * volume * (1 + 1e-12) + 1e-8 * trade_count
