-- native_offset: Selects the offset of the exchange's own candles of a symbol from the grid of time_bucket.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
--   $timeframe VARCHAR: label of the exchange's own candles
--   $width VARCHAR: width of these candles, as text of an interval
-- Returns: grid_offset; no row if no such candle is stored.
select open_time - time_bucket($width::interval, open_time) as grid_offset
from native_candles
where symbol = $symbol and timeframe = $timeframe
order by open_time desc
limit 1
