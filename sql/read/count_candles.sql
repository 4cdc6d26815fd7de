-- count_candles: Counts the stored minutes of one symbol in a range.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
--   $start TIMESTAMP: start of the range, UTC
--   $end TIMESTAMP: end of the range, exclusive
-- Returns: one number.
select count(*) as candles
from candles_1m
where symbol = $symbol and open_time >= $start and open_time < $end
