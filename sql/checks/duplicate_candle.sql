-- duplicate_candle: Finds minutes stored more than once.
-- Columns:
--   symbol: the exchange's string
--   open_time: start of the minute, UTC
--   stored: number of candles stored for this minute
--   first_request_id: the smallest request_id among them
--   last_request_id: the largest request_id among them; equal to the first if one request brought them all
with crowded as (
    -- An hour with as many candles as distinct minutes holds no minute twice.
    select symbol, time_bucket(interval '1 hour', open_time) as hour
    from candles_1m
    group by symbol, time_bucket(interval '1 hour', open_time)
    having count(*) > bit_count(bit_or(1::bigint << minute(open_time)))
)
select
    candles_1m.symbol,
    candles_1m.open_time,
    count(*) as stored,
    min(candles_1m.request_id) as first_request_id,
    max(candles_1m.request_id) as last_request_id,
from candles_1m
inner join crowded
    on candles_1m.symbol = crowded.symbol
    and time_bucket(interval '1 hour', candles_1m.open_time) = crowded.hour
group by candles_1m.symbol, candles_1m.open_time
having count(*) > 1
