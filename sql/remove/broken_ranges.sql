-- broken_ranges: Selects where candles name a request that the ledger lacks, or a request lacks candles it brought.
-- Parameters:
--   $emptied BIGINT[]: the requests that brought more candles than are still there
-- Returns: symbol, start, end (exclusive), UTC; one row per request, and one row per UTC day of candles.
select symbol, range_start as start, range_end as "end"
from requests
where list_contains($emptied::bigint[], request_id)
union all
select symbol, min(open_time) as start, max(open_time) + interval '1 minute' as "end"
from candles_1m
anti join requests
    on requests.request_id = candles_1m.request_id
    and requests.symbol = candles_1m.symbol
    and requests.timeframe = '1m'
group by symbol, time_bucket(interval '1 day', open_time)
order by symbol, start
