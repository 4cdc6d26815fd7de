-- candles: Selects one symbol's candles in a range, with the requests that brought them.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
--   $start TIMESTAMP: start of the range, UTC
--   $end TIMESTAMP: end of the range, exclusive
-- Returns: the columns of candles_1m, by open_time.
select *
from candles_1m
where symbol = $symbol and open_time >= $start and open_time < $end
order by open_time
