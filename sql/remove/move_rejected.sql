-- move_rejected: Does for rejected rows what move_candles does for candles.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
--   $end TIMESTAMP: end of the removed range, exclusive, UTC
update rejected_rows
set request_id = split.right_id
from split
where
    rejected_rows.request_id = split.request_id
    and rejected_rows.symbol = $symbol
    and rejected_rows.minute >= $end
