-- candles_1m: Selects the stored minutes of one symbol in a range, as the exchange sent them.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
--   $start TIMESTAMP: earliest open time, UTC
--   $end TIMESTAMP: end of the range, exclusive
-- Returns: the columns of candles_1m without request_id, by open_time.
select * exclude (request_id)
from candles_1m
where symbol = $symbol and open_time >= $start and open_time < $end
order by open_time
