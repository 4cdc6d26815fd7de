-- negative_volume: Finds candles with a volume or count below zero or not finite.
-- Columns:
--   symbol: the exchange's string
--   open_time: start of the minute, UTC
--   volume: amount traded, in the base asset
--   quote_volume: amount traded, in the quote asset
--   trade_count: number of trades
--   taker_buy_volume: part of volume bought by takers
--   taker_buy_quote_volume: part of quote_volume bought by takers
--   request_id: the request that brought the candle
select
    symbol,
    open_time,
    volume,
    quote_volume,
    trade_count,
    taker_buy_volume,
    taker_buy_quote_volume,
    request_id,
from candles_1m
-- NaN sorts above infinity. A column that an import lacks is null and breaks no rule.
where
    not (volume >= 0 and volume < 'infinity')
    or not (quote_volume >= 0 and quote_volume < 'infinity')
    or trade_count < 0
    or not (taker_buy_volume >= 0 and taker_buy_volume < 'infinity')
    or not (taker_buy_quote_volume >= 0 and taker_buy_quote_volume < 'infinity')
