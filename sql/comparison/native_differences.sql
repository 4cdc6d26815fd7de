-- native_differences: Selects where candles derived from stored minutes differ from the exchange's own.
-- Prices must be equal; about_equal compares the sums.
-- The rule of the views rolls up native candles that are narrower than the compared ones.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
--   $timeframe VARCHAR: label of the exchange's own candles
--   $width VARCHAR: width of the compared candles, as text of an interval
--   $grid_offset INTERVAL: offset of the exchange's candles from the grid of time_bucket
--   $starts TIMESTAMP[]: start of each range of open times to compare, sorted and disjoint
--   $ends TIMESTAMP[]: end of each of these ranges, exclusive
--   $first TIMESTAMP: the earliest of the starts
--   $last TIMESTAMP: the latest of the ends
-- Returns: compared (number of compared candles), open_time, field, ours, theirs, is_complete; by open_time.
--   One row per differing value, or a single row of nulls if none differs. The field is candle where only one
--   side has a candle; that side holds its close. A value that one side lacks counts as no difference.
with ranges as (
    select unnest($starts) as range_start, unnest($ends) as range_end
),
ours as (
    select *
    from candles($symbol, $width::interval, $first, $last, offset_by := $grid_offset)
),
theirs as (
    select
        time_bucket($width::interval, native.open_time - $grid_offset) + $grid_offset as open_time,
        coalesce(arg_min(open, case when volume > 0 then native.open_time end), arg_max(close, native.open_time)) as open,
        coalesce(max(case when volume > 0 then high end), arg_max(close, native.open_time)) as high,
        coalesce(min(case when volume > 0 then low end), arg_max(close, native.open_time)) as low,
        coalesce(arg_max(close, case when volume > 0 then native.open_time end), arg_max(close, native.open_time))
            as close,
        sum(volume) as volume,
        case when count(quote_volume) = count(*) then sum(quote_volume) end as quote_volume,
        case when count(trade_count) = count(*) then sum(trade_count)::bigint end as trade_count,
        case when count(taker_buy_volume) = count(*) then sum(taker_buy_volume) end as taker_buy_volume,
        case when count(taker_buy_quote_volume) = count(*) then sum(taker_buy_quote_volume) end
            as taker_buy_quote_volume,
    from native_candles as native
    where symbol = $symbol and timeframe = $timeframe and native.open_time >= $first and native.open_time < $last
    group by time_bucket($width::interval, native.open_time - $grid_offset)
),
compared as (
    select pairs.*
    from (
        select coalesce(ours.open_time, theirs.open_time) as open_time, ours, theirs
        from ours
        full join theirs on ours.open_time = theirs.open_time
    ) as pairs
    asof join ranges on pairs.open_time >= ranges.range_start
    where pairs.open_time < ranges.range_end
),
fields as (
    select
        open_time,
        coalesce(ours.is_complete, false) as is_complete,
        unnest([ours.close, ours.open, ours.high, ours.low, ours.close, ours.volume, ours.quote_volume,
            ours.trade_count, ours.taker_buy_volume, ours.taker_buy_quote_volume]) as ours,
        unnest([theirs.close, theirs.open, theirs.high, theirs.low, theirs.close, theirs.volume, theirs.quote_volume,
            theirs.trade_count, theirs.taker_buy_volume, theirs.taker_buy_quote_volume]) as theirs,
        unnest(['candle', 'open', 'high', 'low', 'close', 'volume', 'quote_volume', 'trade_count',
            'taker_buy_volume', 'taker_buy_quote_volume']) as field,
        unnest(range(10)) as place,
    from compared
    -- Most candles are equal to the last bit and need no further comparison.
    where
        ours.open is distinct from theirs.open
        or ours.high is distinct from theirs.high
        or ours.low is distinct from theirs.low
        or ours.close is distinct from theirs.close
        or ours.volume <> theirs.volume
        or ours.quote_volume <> theirs.quote_volume
        or ours.trade_count <> theirs.trade_count
        or ours.taker_buy_volume <> theirs.taker_buy_volume
        or ours.taker_buy_quote_volume <> theirs.taker_buy_quote_volume
),
differences as (
    select open_time, field, ours, theirs, is_complete, place
    from fields
    where case
        when field = 'candle' then (ours is null) <> (theirs is null)
        when field in ('open', 'high', 'low', 'close', 'trade_count') then ours <> theirs
        else not about_equal(ours, theirs)
    end
)
select total.compared, differences.* exclude (place)
from (select count(*) as compared from compared) as total
left join differences on true
order by differences.open_time, differences.place
