-- candle_not_closed: Finds candles whose minute was not over when they were asked for.
-- Columns:
--   symbol: the exchange's string
--   open_time: start of the minute, UTC
--   requested_at: when the request was made, by the exchange's clock, UTC
--   request_id: the request that brought the candle
with hasty as (
    -- Few requests reach up to the present, so only their candles are compared.
    select requests.request_id, requests.requested_at
    from (select request_id, max(open_time) as last_open_time from candles_1m group by request_id) as brought
    inner join requests on requests.request_id = brought.request_id
    where brought.last_open_time + interval '1 minute' > requests.requested_at
)
select candles_1m.symbol, candles_1m.open_time, hasty.requested_at, candles_1m.request_id
from candles_1m
inner join hasty on hasty.request_id = candles_1m.request_id
where candles_1m.open_time + interval '1 minute' > hasty.requested_at
