-- find_split: Keeps the requests that reach beyond the end of the removed range, with a new id for the part beyond.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
--   $start TIMESTAMP: start of the removed range, UTC
--   $end TIMESTAMP: end of the removed range, exclusive
create or replace temporary table split as
select
    request_id,
    -- 63 random bits, like every request_id.
    (hash(gen_random_uuid()) >> 1)::bigint as right_id,
from requests
where
    symbol = $symbol
    and timeframe = '1m'
    and range_start < $end
    and range_end > $end
    and range_end > $start
