-- unapplied_revisions: Counts the candles of some answers that differed from stored candles of higher rank.
-- Parameters:
--   $requests BIGINT[]: the answers
-- Returns: request_id, candles.
select new_request_id as request_id, count(*) as candles
from revisions
where not applied and new_request_id in (select unnest($requests))
group by new_request_id
