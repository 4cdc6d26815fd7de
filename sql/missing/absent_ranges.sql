-- absent_ranges: Selects the parts of some ranges in which no candle is stored.
-- Parameters:
--   $symbols VARCHAR[]: symbol of each range
--   $starts TIMESTAMP[]: start of each range, UTC
--   $ends TIMESTAMP[]: end of each range, exclusive
--   $first TIMESTAMP: the earliest of the starts
--   $last TIMESTAMP: the latest of the ends
-- Returns: symbol, range_start, range_end; sorted, disjoint.
with asked as (
    select
        unnest($symbols) as symbol,
        unnest($starts) as range_start,
        unnest($ends) as range_end,
),
present as (
    select asked.symbol, asked.range_start as asked_start, candle.open_time, candle.open_time + interval '1 minute' as until
    from asked
    inner join candles_1m as candle
        on asked.symbol = candle.symbol
        and candle.open_time >= asked.range_start
        and candle.open_time < asked.range_end
    -- The range is also given as parameters, because only parameters prune row groups in every DuckDB version.
    where candle.open_time >= $first and candle.open_time < $last
    union all
    select symbol, range_start, range_start, range_start from asked
    union all
    select symbol, range_start, range_end, range_end from asked
),
neighbours as (
    select
        symbol,
        lag(until) over (partition by symbol, asked_start order by open_time, until) as range_start,
        open_time as range_end,
    from present
)
select symbol, range_start, range_end
from neighbours
where range_start < range_end
order by symbol, range_start
