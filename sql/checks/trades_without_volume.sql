-- trades_without_volume: Finds candles with trades but no volume.
-- Columns:
--   symbol: the exchange's string
--   open_time: start of the minute, UTC
--   volume: amount traded, in the base asset
--   trade_count: number of trades
--   request_id: the request that brought the candle
select symbol, open_time, volume, trade_count, request_id
from candles_1m
where volume = 0 and trade_count > 0
