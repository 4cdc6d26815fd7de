-- candles_1m: Real, closed, on-grid one-minute candles as the exchange answered them; everything else is derived.
-- Columns:
--   symbol: the exchange's string, such as BTCUSDC
--   open_time: start of the minute, UTC; with symbol, the candle's identity
--   open: first price, in the quote asset
--   high: highest price, in the quote asset
--   low: lowest price, in the quote asset
--   close: last price, in the quote asset
--   volume: amount traded, in the base asset; 0 in a minute without trades
--   quote_volume: amount traded, in the quote asset
--   trade_count: number of trades
--   taker_buy_volume: part of volume bought by takers, in the base asset
--   taker_buy_quote_volume: part of quote_volume bought by takers, in the quote asset
--   request_id: the row of requests that brought this candle
create table if not exists candles_1m (
    symbol varchar not null,
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
