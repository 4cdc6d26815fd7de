-- move_revisions: Does for both sides of revisions what move_candles does for candles.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
--   $end TIMESTAMP: end of the removed range, exclusive, UTC
update revisions
set
    old_request_id = coalesce((select right_id from split where split.request_id = old_request_id), old_request_id),
    new_request_id = coalesce((select right_id from split where split.request_id = new_request_id), new_request_id)
where symbol = $symbol and open_time >= $end
