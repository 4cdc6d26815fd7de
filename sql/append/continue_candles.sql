-- continue_candles: Assigns to a request the candles of the answers that continue it.
-- Reads the table of the append: continued.
-- Parameters:
--   $first TIMESTAMP: earliest minute that any answer covers
--   $last TIMESTAMP: end of the latest minute, exclusive
update candles_1m
set request_id = continued.continues
from continued
where
    candles_1m.request_id = continued.request_id
    and candles_1m.open_time >= $first
    and candles_1m.open_time < $last
