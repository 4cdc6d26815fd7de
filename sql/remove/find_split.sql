-- find_split: Keeps the requests that reach beyond the end of what is removed, with an id for the part beyond.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
--   $start TIMESTAMP: start of what is removed, UTC
--   $end TIMESTAMP: its end, exclusive
create or replace temporary table split as
select
    request_id,
    -- 63 random bits, as every request_id.
    (hash(gen_random_uuid()) >> 1)::bigint as right_id,
from requests
where
    symbol = $symbol
    and timeframe = '1m'
    and range_start < $end
    and range_end > $end
    and range_end > $start
