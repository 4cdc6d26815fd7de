-- volume_without_trades: Finds candles with volume but no trade.
-- Columns:
--   symbol: the exchange's string
--   open_time: start of the minute, UTC
--   volume: amount traded, in the base asset
--   trade_count: number of trades
--   request_id: the request that brought the candle
select symbol, open_time, volume, trade_count, request_id
from candles_1m
where trade_count = 0 and volume > 0
