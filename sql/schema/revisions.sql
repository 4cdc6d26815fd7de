-- revisions: Later answers that differ from a stored candle; nothing is overwritten without a trace.
-- Columns:
--   symbol: the exchange's string
--   open_time: start of the minute, UTC
--   old_open: first price as it was stored
--   old_high: highest price as it was stored
--   old_low: lowest price as it was stored
--   old_close: last price as it was stored
--   old_volume: base volume as it was stored
--   old_quote_volume: quote volume as it was stored
--   old_trade_count: number of trades as it was stored
--   old_taker_buy_volume: base volume bought by takers as it was stored
--   old_taker_buy_quote_volume: quote volume bought by takers as it was stored
--   new_open: first price of the later answer; empty if that answer has no such candle
--   new_high: highest price of the later answer; empty if that answer has no such candle
--   new_low: lowest price of the later answer; empty if that answer has no such candle
--   new_close: last price of the later answer; empty if that answer has no such candle
--   new_volume: base volume of the later answer; empty if that answer has no such candle
--   new_quote_volume: quote volume of the later answer; empty if that answer has no such candle
--   new_trade_count: number of trades of the later answer; empty if that answer has no such candle
--   new_taker_buy_volume: base volume bought by takers of the later answer; empty if that answer has no such candle
--   new_taker_buy_quote_volume: quote volume bought by takers of the later answer; empty if that answer has no such candle
--   old_request_id: the request that brought the stored candle
--   new_request_id: the request that brought the later answer
--   applied: whether the later answer replaced the stored candle; false if its source ranks lower
--   revised_at: when the difference was recorded, by the exchange's clock, UTC
create table if not exists revisions (
    symbol varchar not null,
    open_time timestamp not null,
    old_open double,
    old_high double,
    old_low double,
    old_close double,
    old_volume double,
    old_quote_volume double,
    old_trade_count bigint,
    old_taker_buy_volume double,
    old_taker_buy_quote_volume double,
    new_open double,
    new_high double,
    new_low double,
    new_close double,
    new_volume double,
    new_quote_volume double,
    new_trade_count bigint,
    new_taker_buy_volume double,
    new_taker_buy_quote_volume double,
    old_request_id bigint not null,
    new_request_id bigint not null,
    applied boolean not null,
    revised_at timestamp not null,
)
