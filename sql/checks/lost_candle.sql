-- lost_candle: Finds requests that brought more candles than are still there, by the ledger and the revisions.
-- Columns:
--   symbol: the exchange's string
--   open_time: start of the request's range, UTC
--   request_id: the request
--   expected: number of candles it brought, less those that later answers replaced or removed
--   stored: number of stored candles that name this request
--   lost: expected less stored
with brought as (
    select request_id, count(*) as stored
    from candles_1m
    group by request_id
),
replaced as (
    select old_request_id as request_id, count(*) as candles
    from revisions
    where applied
    group by old_request_id
),
removals as (
    -- rows_revised includes the candles that a request removed; a removal leaves no candle that names the request.
    select new_request_id as request_id, count(*) as candles
    from revisions
    where applied and new_open is null
    group by new_request_id
)
select
    requests.symbol,
    requests.range_start as open_time,
    requests.request_id,
    requests.rows_added + requests.rows_revised - coalesce(replaced.candles, 0) - coalesce(removals.candles, 0)
        as expected,
    coalesce(brought.stored, 0) as stored,
    requests.rows_added + requests.rows_revised - coalesce(replaced.candles, 0) - coalesce(removals.candles, 0)
        - coalesce(brought.stored, 0) as lost,
from requests
left join brought on brought.request_id = requests.request_id
left join replaced on replaced.request_id = requests.request_id
left join removals on removals.request_id = requests.request_id
where requests.timeframe = '1m' and lost > 0
