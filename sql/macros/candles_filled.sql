-- candles_filled: The candles of the macro candles, short gaps filled flat at the previous close.
-- Parameters:
--   symbol: the exchange's string; null for all symbols
--   width: an interval or its text, such as '3 hours' or '1 month'; '1 minute' gives the filled minutes themselves
--   start_time: a timestamp or its text, UTC; the first candle opens at or after it
--   end_time: a timestamp or its text, UTC, exclusive; the last candle opens before it, and may end after it
--   max_gap: an interval or its text; a gap longer than this, measured whole, stays open
-- Columns:
--   symbol: the exchange's string, such as BTCUSDC
--   open_time: start of the candle, UTC
--   open: first price of the minutes that traded, in the quote asset; if none traded, the close
--   high: highest price of the minutes that traded, in the quote asset; if none traded, the close
--   low: lowest price of the minutes that traded, in the quote asset; if none traded, the close
--   close: last price of the minutes that traded, in the quote asset; if none traded, the last close
--   volume: amount traded, in the base asset
--   quote_volume: amount traded, in the quote asset; empty if unknown for any minute
--   trade_count: number of trades; empty if unknown for any minute
--   taker_buy_volume: part of volume bought by takers, in the base asset; empty if unknown for any minute
--   taker_buy_quote_volume: part of quote_volume bought by takers; empty if unknown for any minute
--   minutes: number of one-minute candles present, the filled ones included
--   expected_minutes: number of minutes in the width of the candle
--   is_complete: whether all minutes are present or filled
--   filled_minutes: number of minutes that were absent and are filled: no trades, no volume, the previous close
create or replace macro candles_filled(symbol, width, start_time, end_time, max_gap := interval '4 hour') as table
with stored as (
    -- The first bucket to open at or after an instant follows the bucket of the microsecond before it.
    -- A gap that reaches into the range and may be filled has both its neighbours within max_gap of the range.
    -- Each column by name: a column that somebody added to candles_1m must not end up in the union below.
    select
        candles_1m.symbol,
        open_time,
        open,
        high,
        low,
        close,
        volume,
        quote_volume,
        trade_count,
        taker_buy_volume,
        taker_buy_quote_volume,
        lead(open_time) over (partition by candles_1m.symbol order by open_time) as next_time
    from candles_1m
    -- The parameter hides the column of the same name wherever that is not qualified.
    where
        (symbol::varchar is null or candles_1m.symbol = symbol::varchar)
        and open_time >= time_bucket(width::interval, start_time::timestamp - interval '1 microsecond')
            + width::interval - max_gap::interval - interval '1 minute'
        and open_time <= time_bucket(width::interval, end_time::timestamp - interval '1 microsecond')
            + width::interval + max_gap::interval
),
filled as (
    select
        stored.symbol,
        unnest(range(open_time + interval '1 minute', next_time, interval '1 minute')) as open_time,
        close,
    from stored
    where
        next_time > open_time + interval '1 minute'
        and next_time <= open_time + interval '1 minute' + max_gap::interval
),
minutes as (
    select * exclude (next_time), false as is_filled
    from stored
    union all
    select filled.symbol, open_time, close, close, close, close, 0, 0, 0, 0, 0, true
    from filled
),
buckets as (
    -- A minute without trades repeats the last close; the exchange leaves it out of its higher timeframes.
    select
        minutes.symbol,
        time_bucket(width::interval, open_time) as bucket,
        coalesce(arg_min(open, case when volume > 0 then open_time end), arg_max(close, open_time)) as open,
        coalesce(max(case when volume > 0 then high end), arg_max(close, open_time)) as high,
        coalesce(min(case when volume > 0 then low end), arg_max(close, open_time)) as low,
        coalesce(arg_max(close, case when volume > 0 then open_time end), arg_max(close, open_time)) as close,
        sum(volume) as volume,
        -- sum() skips nulls, and a partial sum would pass for the whole.
        case when count(quote_volume) = count(*) then sum(quote_volume) end as quote_volume,
        case when count(trade_count) = count(*) then sum(trade_count)::bigint end as trade_count,
        case when count(taker_buy_volume) = count(*) then sum(taker_buy_volume) end as taker_buy_volume,
        case when count(taker_buy_quote_volume) = count(*) then sum(taker_buy_quote_volume) end
            as taker_buy_quote_volume,
        count(*) as minutes,
        count(*) filter (where is_filled) as filled_minutes,
    from minutes
    where open_time >= time_bucket(width::interval, start_time::timestamp - interval '1 microsecond')
            + width::interval
        and open_time < time_bucket(width::interval, end_time::timestamp - interval '1 microsecond')
            + width::interval
    group by minutes.symbol, time_bucket(width::interval, open_time)
)
select
    buckets.symbol,
    bucket as open_time,
    open,
    high,
    low,
    close,
    volume,
    quote_volume,
    trade_count,
    taker_buy_volume,
    taker_buy_quote_volume,
    minutes,
    date_diff('minute', bucket, bucket + width::interval) as expected_minutes,
    minutes = expected_minutes as is_complete,
    filled_minutes,
from buckets
