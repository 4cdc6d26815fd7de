-- candles_filled: Selects one symbol's candles of any width that open in a range, over conservatively filled minutes.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
--   $width VARCHAR: width of a candle, as text of an interval
--   $start TIMESTAMP: earliest open time, UTC
--   $end TIMESTAMP: end of the range, exclusive
--   $max_gap INTERVAL: longest gap that is filled
-- Returns: the columns of the candle views and filled_minutes, by open_time.
select *
from candles_filled($symbol, $width::interval, $start, $end, max_gap := $max_gap)
order by open_time
