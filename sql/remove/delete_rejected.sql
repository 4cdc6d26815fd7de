-- delete_rejected: Deletes the rows of rejected_rows in the removed range.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
--   $start TIMESTAMP: start of the removed range, UTC
--   $end TIMESTAMP: end of the removed range, exclusive
delete from rejected_rows
where symbol = $symbol and minute >= $start and minute < $end
