-- move_revisions: The same as move_candles for both sides of revisions.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
--   $end TIMESTAMP: end of what is removed, exclusive, UTC
update revisions
set
    old_request_id = coalesce((select right_id from split where split.request_id = old_request_id), old_request_id),
    new_request_id = coalesce((select right_id from split where split.request_id = new_request_id), new_request_id)
where symbol = $symbol and open_time >= $end
