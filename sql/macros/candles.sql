-- candles: Candles of any width, each whole, whose open time lies in [start_time, end_time).
-- Parameters:
--   symbol: the exchange's string; null for all symbols
--   width: an interval or its text, such as '3 hours' or '1 month'
--   start_time: a timestamp or its text, UTC; the first candle opens at or after it
--   end_time: a timestamp or its text, UTC, exclusive; the last candle opens before it, and may end after it
--   offset_by: an interval or its text that moves the grid, such as '1 day' for weeks that open on Tuesday
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
--   minutes: number of one-minute candles present
--   expected_minutes: number of minutes in the width of the candle
--   is_complete: whether every minute is present; the candle of an outage lacks some, and so does the exchange's
create or replace macro candles(symbol, width, start_time, end_time, offset_by := interval '0 hour') as table
with minutes as (
    select *, time_bucket(width::interval, open_time - offset_by::interval) as bucket
    from candles_1m
    -- The parameter hides the column of the same name wherever that is not qualified.
    where
        (symbol::varchar is null or candles_1m.symbol = symbol::varchar)
        -- The first bucket to open at or after an instant follows the bucket of the microsecond before it.
        and open_time >= offset_by::interval + width::interval
            + time_bucket(width::interval, start_time::timestamp - offset_by::interval - interval '1 microsecond')
        and open_time < offset_by::interval + width::interval
            + time_bucket(width::interval, end_time::timestamp - offset_by::interval - interval '1 microsecond')
),
buckets as (
    -- A minute without trades repeats the last close; the exchange leaves it out of its higher timeframes.
    select
        minutes.symbol,
        bucket,
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
    from minutes
    group by minutes.symbol, bucket
)
select
    buckets.symbol,
    bucket + offset_by::interval as open_time,
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
    date_diff(
        'minute', bucket + offset_by::interval, bucket + width::interval + offset_by::interval
    ) as expected_minutes,
    minutes = expected_minutes as is_complete,
from buckets
