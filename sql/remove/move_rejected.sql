-- move_rejected: The same as move_candles for rejected rows.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
--   $end TIMESTAMP: end of what is removed, exclusive, UTC
update rejected_rows
set request_id = split.right_id
from split
where
    rejected_rows.request_id = split.request_id
    and rejected_rows.symbol = $symbol
    and rejected_rows.minute >= $end
