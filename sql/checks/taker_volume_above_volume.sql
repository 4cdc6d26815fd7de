-- taker_volume_above_volume: Finds candles in which takers bought more than was traded.
-- Columns:
--   symbol: the exchange's string
--   open_time: start of the minute, UTC
--   volume: amount traded, in the base asset
--   taker_buy_volume: part of volume bought by takers
--   quote_volume: amount traded, in the quote asset
--   taker_buy_quote_volume: part of quote_volume bought by takers
--   request_id: the request that brought the candle
select symbol, open_time, volume, taker_buy_volume, quote_volume, taker_buy_quote_volume, request_id
from candles_1m
where taker_buy_volume > volume or taker_buy_quote_volume > quote_volume
