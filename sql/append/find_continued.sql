-- find_continued: Keeps the incoming REST answers that start where a stored one ends, within one UTC day.
-- Reads the tables of the append: incoming_requests.
create or replace temporary table continued as
select
    answer.*,
    stored.request_id as continues,
from incoming_requests as answer
inner join requests as stored
    on answer.symbol = stored.symbol
    and answer.timeframe = stored.timeframe
    and answer.source = stored.source
    and answer.range_start = stored.range_end
    -- The request that found the listing began in 1970, so it stays a row of its own.
    and stored.range_start::date = greatest(answer.range_start, answer.range_end - interval '1 minute')::date
where answer.source = 'rest' and answer.timeframe = '1m'
qualify row_number() over (partition by answer.request_id order by stored.requested_at desc, stored.request_id) = 1
