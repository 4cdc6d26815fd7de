-- native_differences: Where the candles derived from stored minutes differ from the exchange's own.
-- Prices must be equal; sums may differ by 1e-9 and 1e-12 of the value, because the order of adding is not fixed.
-- Native candles narrower than the compared ones are rolled up by the rule of the views.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
--   $timeframe VARCHAR: label of the exchange's own candles
--   $width VARCHAR: width of the compared candles, as text of an interval
--   $grid_offset INTERVAL: by how much the exchange's candles are off the grid of time_bucket
--   $starts TIMESTAMP[]: start of each range of open times to compare, sorted and disjoint
--   $ends TIMESTAMP[]: end of each of these ranges, exclusive
--   $first TIMESTAMP: the earliest of the starts
--   $last TIMESTAMP: the latest of the ends
-- Returns: compared (how many candles were), open_time, field, ours, theirs, is_complete; by open_time.
--   One row a differing value, and a single row of nulls if none differs. The field is candle where only one
--   side has a candle: its close stands on that side. A value that one side lacks differs from nothing.
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
pairs as (
    select
        coalesce(ours.open_time, theirs.open_time) as open_time,
        ours,
        theirs,
        ours.open_time is null or theirs.open_time is null as differs_candle,
        ours.open <> theirs.open as differs_open,
        ours.high <> theirs.high as differs_high,
        ours.low <> theirs.low as differs_low,
        ours.close <> theirs.close as differs_close,
        abs(ours.volume - theirs.volume) > 1e-9 + 1e-12 * abs(theirs.volume) as differs_volume,
        abs(ours.quote_volume - theirs.quote_volume) > 1e-9 + 1e-12 * abs(theirs.quote_volume)
            as differs_quote_volume,
        ours.trade_count <> theirs.trade_count as differs_trade_count,
        abs(ours.taker_buy_volume - theirs.taker_buy_volume) > 1e-9 + 1e-12 * abs(theirs.taker_buy_volume)
            as differs_taker_buy_volume,
        abs(ours.taker_buy_quote_volume - theirs.taker_buy_quote_volume)
            > 1e-9 + 1e-12 * abs(theirs.taker_buy_quote_volume) as differs_taker_buy_quote_volume,
    from ours
    full join theirs on ours.open_time = theirs.open_time
),
compared as (
    select pairs.*
    from pairs
    asof join ranges on pairs.open_time >= ranges.range_start
    where pairs.open_time < ranges.range_end
),
fields as (
    select
        open_time,
        coalesce(ours.is_complete, false) as is_complete,
        unnest([
            {'field': 'candle', 'ours': ours.close, 'theirs': theirs.close, 'differs': differs_candle},
            {'field': 'open', 'ours': ours.open, 'theirs': theirs.open, 'differs': differs_open},
            {'field': 'high', 'ours': ours.high, 'theirs': theirs.high, 'differs': differs_high},
            {'field': 'low', 'ours': ours.low, 'theirs': theirs.low, 'differs': differs_low},
            {'field': 'close', 'ours': ours.close, 'theirs': theirs.close, 'differs': differs_close},
            {'field': 'volume', 'ours': ours.volume, 'theirs': theirs.volume, 'differs': differs_volume},
            {'field': 'quote_volume', 'ours': ours.quote_volume, 'theirs': theirs.quote_volume,
                'differs': differs_quote_volume},
            {'field': 'trade_count', 'ours': ours.trade_count::double, 'theirs': theirs.trade_count::double,
                'differs': differs_trade_count},
            {'field': 'taker_buy_volume', 'ours': ours.taker_buy_volume, 'theirs': theirs.taker_buy_volume,
                'differs': differs_taker_buy_volume},
            {'field': 'taker_buy_quote_volume', 'ours': ours.taker_buy_quote_volume,
                'theirs': theirs.taker_buy_quote_volume, 'differs': differs_taker_buy_quote_volume},
        ]) as value,
    from compared
    where
        differs_candle
        or differs_open
        or differs_high
        or differs_low
        or differs_close
        or differs_volume
        or differs_quote_volume
        or differs_trade_count
        or differs_taker_buy_volume
        or differs_taker_buy_quote_volume
),
differences as (
    select open_time, value.field as field, value.ours as ours, value.theirs as theirs, is_complete
    from fields
    where value.differs
)
select total.compared, differences.*
from (select count(*) as compared from compared) as total
left join differences on true
order by differences.open_time
