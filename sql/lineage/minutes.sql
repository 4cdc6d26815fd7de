-- minutes: Selects the stored minutes of a symbol in a range, each with the request that brought it.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
--   $start TIMESTAMP: start of the range, UTC
--   $end TIMESTAMP: end of the range, exclusive
-- Returns: the columns of candles_1m except symbol, by open_time.
select * exclude (symbol)
from candles_1m
where symbol = $symbol and open_time >= $start and open_time < $end
order by open_time
