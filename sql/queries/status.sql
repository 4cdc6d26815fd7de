-- status: What is stored of each symbol, and when it was last asked for.
-- Parameters:
--   $symbols VARCHAR[]: only these symbols; all if empty
-- Returns: symbol, first_open_time, last_open_time, candles, expected, missing, last_requested_at; by symbol.
with asked as (
    select symbol, max(requested_at) as last_requested_at
    from requests
    where timeframe = '1m'
    group by symbol
)
select
    coverage.symbol,
    coverage.first_open_time,
    coverage.last_open_time,
    coverage.candles,
    coverage.expected,
    coverage.missing,
    asked.last_requested_at,
from coverage
left join asked on coverage.symbol = asked.symbol
where len($symbols) = 0 or list_contains($symbols, coverage.symbol)
order by coverage.symbol
