-- duplicate_request: Finds requests that share their request_id with another.
-- Columns:
--   symbol: the exchange's string
--   open_time: start of the request's range, UTC
--   request_id: the shared number
--   source: rest, archive_daily, archive_monthly or import
--   requested_at: when the request was made, by the exchange's clock, UTC
--   url: where the answer came from
select symbol, range_start as open_time, request_id, source, requested_at, url
from requests
where request_id in (select request_id from requests group by request_id having count(*) > 1)
