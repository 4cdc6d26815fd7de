-- uncompared_candles: Counts the closed candles of stored minutes that lie where nothing can be compared.
-- A candle is closed if it ended before the store last recorded the exchange's time or imported a file.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
--   $width VARCHAR: width of the candles, as text of an interval
--   $grid_offset INTERVAL: offset of the exchange's candles from the grid of time_bucket
--   $starts TIMESTAMP[]: start of each range of open times that cannot be compared, sorted and disjoint
--   $ends TIMESTAMP[]: end of each of these ranges, exclusive
--   $first TIMESTAMP: the earliest of the starts
--   $last TIMESTAMP: the latest of the ends
-- Returns: candles, one row.
with ranges as (
    select unnest($starts) as range_start, unnest($ends) as range_end
),
candles as (
    select distinct time_bucket($width::interval, open_time - $grid_offset) + $grid_offset as open_time
    from candles_1m
    -- Adding the width of a month to a time in year 9999 would overflow.
    where symbol = $symbol and open_time >= $first and open_time - $width::interval < $last
)
select count(*) as candles
from candles
asof join ranges on candles.open_time >= ranges.range_start
where
    candles.open_time < ranges.range_end
    and candles.open_time + $width::interval <= (select max(requested_at) from requests)
