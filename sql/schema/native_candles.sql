-- native_candles: Candles of higher timeframes as the exchange publishes them; for comparison only.
-- Columns:
--   symbol: the exchange's string
--   timeframe: width of the candle, such as 1h
--   open_time: start of the candle, UTC
--   open: first price, in the quote asset
--   high: highest price, in the quote asset
--   low: lowest price, in the quote asset
--   close: last price, in the quote asset
--   volume: amount traded, in the base asset
--   quote_volume: amount traded, in the quote asset
--   trade_count: number of trades
--   taker_buy_volume: part of volume bought by takers, in the base asset
--   taker_buy_quote_volume: part of quote_volume bought by takers, in the quote asset
--   request_id: the row of requests that brought this candle
create table if not exists native_candles (
    symbol varchar not null,
    timeframe varchar not null,
    open_time timestamp not null,
    open double not null,
    high double not null,
    low double not null,
    close double not null,
    volume double not null,
    quote_volume double,
    trade_count bigint,
    taker_buy_volume double,
    taker_buy_quote_volume double,
    request_id bigint not null,
)
