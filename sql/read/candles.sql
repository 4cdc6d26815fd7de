-- candles: Selects the candles of one symbol and any width that open in a range.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
--   $width VARCHAR: width of a candle, as text of an interval
--   $start TIMESTAMP: earliest open time, UTC
--   $end TIMESTAMP: end of the range, exclusive
-- Returns: the columns of the candle views, by open_time.
select *
from candles($symbol, $width::interval, $start, $end)
order by open_time
