-- rejected_rows: Selects the received rows for a symbol's minutes in a range that could not be used.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
--   $start TIMESTAMP: start of the range, UTC
--   $end TIMESTAMP: end of the range, exclusive
-- Returns: minute, reason, raw, request_id; by minute.
select minute, reason, raw, request_id
from rejected_rows
where symbol = $symbol and minute >= $start and minute < $end
order by minute, raw
