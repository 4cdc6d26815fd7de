-- impossible_size: Finds candles with a number that no minute reaches; sums of such numbers overflow.
-- Columns:
--   symbol: the exchange's string
--   open_time: start of the minute, UTC
--   high: highest price, in the quote asset
--   volume: amount traded, in the base asset
--   quote_volume: amount traded, in the quote asset
--   trade_count: number of trades
--   taker_buy_volume: part of volume bought by takers
--   taker_buy_quote_volume: part of quote_volume bought by takers
--   request_id: the request that brought the candle
select
    symbol,
    open_time,
    high,
    volume,
    quote_volume,
    trade_count,
    taker_buy_volume,
    taker_buy_quote_volume,
    request_id,
from candles_1m
-- Other checks find the numbers that are not finite.
where
    (high > 1e30 and high < 'infinity')
    or (volume > 1e30 and volume < 'infinity')
    or (quote_volume > 1e30 and quote_volume < 'infinity')
    or trade_count > 1000000000
    or (taker_buy_volume > 1e30 and taker_buy_volume < 'infinity')
    or (taker_buy_quote_volume > 1e30 and taker_buy_quote_volume < 'infinity')
