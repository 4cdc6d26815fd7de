-- candles_2h: 2-hour candles; equal to the exchange's own.
-- Written by sql/derive.py.
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
create or replace view candles_2h as
select
    symbol,
    time_bucket(interval '2 hours', open_time) as open_time,
    -- A minute without trades repeats the last close; the exchange leaves it out of its higher timeframes.
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
    date_diff(
        'minute',
        time_bucket(interval '2 hours', open_time),
        time_bucket(interval '2 hours', open_time) + interval '2 hours'
    ) as expected_minutes,
    count(*) = expected_minutes as is_complete,
from candles_1m
group by symbol, time_bucket(interval '2 hours', open_time)
