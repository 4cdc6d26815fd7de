-- requests_behind: Selects the requests that brought, rejected or missed a symbol's minutes in a range.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
--   $timeframe VARCHAR: also the requests for the exchange's own candles of this timeframe
--   $start TIMESTAMP: start of the range, UTC
--   $end TIMESTAMP: end of the range, exclusive
-- Returns: the columns of requests, and minutes (how many stored minutes of the range it brought); by time.
with brought as (
    select request_id, count(*) as minutes
    from candles_1m
    where symbol = $symbol and open_time >= $start and open_time < $end
    group by request_id
),
mentioned as (
    select request_id from brought
    union
    select request_id from rejected_rows where symbol = $symbol and minute >= $start and minute < $end
    union
    select request_id
    from native_candles
    where symbol = $symbol and timeframe = $timeframe and open_time >= $start and open_time < $end
    union
    select unnest([old_request_id, new_request_id])
    from revisions
    where symbol = $symbol and open_time >= $start and open_time < $end
    union
    -- Requests that found nothing are the evidence for absent minutes.
    select request_id
    from requests
    where symbol = $symbol and timeframe in ('1m', $timeframe) and range_start < $end and range_end > $start
)
select requests.*, coalesce(brought.minutes, 0) as minutes
from requests
inner join mentioned on requests.request_id = mentioned.request_id
left join brought on requests.request_id = brought.request_id
order by requests.requested_at, requests.range_start
