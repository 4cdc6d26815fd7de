-- native_candles: Selects the exchange's own candles of a timeframe that open in a range.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
--   $timeframe VARCHAR: label of the timeframe
--   $start TIMESTAMP: start of the range, UTC
--   $end TIMESTAMP: end of the range, exclusive
-- Returns: the columns of native_candles except symbol and timeframe, by open_time.
select * exclude (symbol, timeframe)
from native_candles
where symbol = $symbol and timeframe = $timeframe and open_time >= $start and open_time < $end
order by open_time
