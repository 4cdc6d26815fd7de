-- candle_counts: Counts the candles of some width that the stored minutes of a range give.
-- Parameters:
--   $symbols VARCHAR[]: the symbols
--   $width VARCHAR: width of the candles, as text of an interval
--   $start TIMESTAMP: start of the range, UTC
--   $end TIMESTAMP: end of the range, exclusive
-- Returns: symbol, candles; by symbol, no row for a symbol without candles.
select symbol, count(distinct time_bucket($width::interval, open_time)) as candles
from candles_1m
where symbol in (select unnest($symbols)) and open_time >= $start and open_time < $end
group by symbol
order by symbol
