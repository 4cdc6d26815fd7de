-- candle_without_request: Finds candles that no request of their symbol brought.
-- Columns:
--   symbol: the exchange's string
--   open_time: start of the minute, UTC
--   request_id: the number that the candle names and the ledger lacks
with named as (
    select symbol, request_id
    from candles_1m
    group by symbol, request_id
),
unknown as (
    select named.symbol, named.request_id
    from named
    anti join requests
        on requests.request_id = named.request_id
        and requests.symbol = named.symbol
        and requests.timeframe = '1m'
)
select candles_1m.symbol, candles_1m.open_time, candles_1m.request_id
from candles_1m
inner join unknown on unknown.request_id = candles_1m.request_id and unknown.symbol = candles_1m.symbol
