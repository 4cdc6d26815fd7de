-- symbol_overview: Selects what is stored for each symbol, its number of gaps, and when it was last requested.
-- Returns: symbol, first_open_time, last_open_time, candles, expected, missing, complete (percent), gaps,
--   last_requested_at; by symbol.
with asked as (
    select symbol, max(requested_at) as last_requested_at
    from requests
    where timeframe = '1m'
    group by symbol
),
counted as (
    select symbol, count(*) as gaps
    from gaps
    group by symbol
)
select
    coverage.symbol,
    coverage.first_open_time,
    coverage.last_open_time,
    coverage.candles,
    coverage.expected,
    coverage.missing,
    percent_complete(coverage.candles, coverage.expected) as complete,
    coalesce(counted.gaps, 0) as gaps,
    asked.last_requested_at,
from coverage
left join counted on coverage.symbol = counted.symbol
left join asked on coverage.symbol = asked.symbol
order by coverage.symbol
