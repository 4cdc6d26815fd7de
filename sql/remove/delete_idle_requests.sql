-- delete_idle_requests: Deletes requests that are no longer conclusive for any range and whose rows are all gone.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
delete from requests
where
    symbol = $symbol
    and timeframe = '1m'
    and range_start >= range_end
    and rows_added + rows_revised + rows_rejected = 0
    and request_id not in (select new_request_id from revisions where symbol = $symbol)
