-- move_candles: Assigns the candles beyond the end of the removed range to the remaining part of their request.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
--   $end TIMESTAMP: end of the removed range, exclusive, UTC
update candles_1m
set request_id = split.right_id
from split
where
    candles_1m.request_id = split.request_id
    and candles_1m.symbol = $symbol
    and candles_1m.open_time >= $end
