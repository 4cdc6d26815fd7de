-- move_candles: Lets the candles beyond the end of what is removed name the part of their request that remains there.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
--   $end TIMESTAMP: end of what is removed, exclusive, UTC
update candles_1m
set request_id = split.right_id
from split
where
    candles_1m.request_id = split.request_id
    and candles_1m.symbol = $symbol
    and candles_1m.open_time >= $end
