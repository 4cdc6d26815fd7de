-- impossible_price: Finds candles whose prices are not positive, not finite, or not in order.
-- Columns:
--   symbol: the exchange's string
--   open_time: start of the minute, UTC
--   open: first price, in the quote asset
--   high: highest price, in the quote asset
--   low: lowest price, in the quote asset
--   close: last price, in the quote asset
--   request_id: the request that brought the candle
select symbol, open_time, open, high, low, close, request_id
from candles_1m
-- NaN sorts above infinity, so the chain of comparisons from zero to infinity excludes it.
where not (low > 0 and low <= open and low <= close and open <= high and close <= high and high < 'infinity')
