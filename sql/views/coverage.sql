-- coverage: What is stored of each symbol, from its first to its last candle.
-- Columns:
--   symbol: the exchange's string, such as BTCUSDC
--   first_open_time: open time of the first stored candle, UTC
--   last_open_time: open time of the last stored candle, UTC
--   candles: number of stored candles
--   expected: number of minutes from the first to the last candle, both included
--   missing: number of these minutes without a candle; the view gaps has the reasons
create or replace view coverage as
select
    symbol,
    min(open_time) as first_open_time,
    max(open_time) as last_open_time,
    count(*) as candles,
    date_diff('minute', min(open_time), max(open_time)) + 1 as expected,
    expected - candles as missing,
from candles_1m
group by symbol
