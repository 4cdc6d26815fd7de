-- status: What is stored of each symbol, and when it was last asked for.
-- Parameters:
--   $symbols VARCHAR[]: only these symbols; all if empty
-- Returns: symbol, first_open_time, last_open_time, candles, expected, missing, unproven (imported minutes that no
--   range asked of the exchange covers), last_requested_at; by symbol.
with asked as (
    select symbol, max(requested_at) as last_requested_at
    from requests
    where timeframe = '1m'
    group by symbol
),
imports as (
    select symbol, request_id
    from requests
    where source = 'import' and timeframe = '1m'
),
covered as (
    select symbol, min(range_start) as range_start, max(range_end) as range_end
    from (
        select
            symbol,
            range_start,
            range_end,
            sum(case when range_start <= reached then 0 else 1 end) over by_time as number,
        from (
            select
                symbol,
                range_start,
                range_end,
                max(range_end) over (by_time rows between unbounded preceding and 1 preceding) as reached,
            from requests
            where
                timeframe = '1m'
                and range_start < range_end
                and symbol in (select symbol from imports)
            window by_time as (partition by symbol order by range_start, range_end)
        ) as ranges
        window by_time as (partition by symbol order by range_start, range_end)
    ) as numbered
    group by symbol, number
),
imported as (
    select candle.symbol, candle.open_time
    from candles_1m as candle
    inner join imports on candle.request_id = imports.request_id
),
unproven as (
    select imported.symbol, count(*) as candles
    from imported
    asof left join covered
        on imported.symbol = covered.symbol
        and imported.open_time >= covered.range_start
    where covered.range_end is null or imported.open_time >= covered.range_end
    group by imported.symbol
)
select
    coverage.symbol,
    coverage.first_open_time,
    coverage.last_open_time,
    coverage.candles,
    coverage.expected,
    coverage.missing,
    coalesce(unproven.candles, 0) as unproven,
    asked.last_requested_at,
from coverage
left join asked on coverage.symbol = asked.symbol
left join unproven on coverage.symbol = unproven.symbol
where len($symbols) = 0 or list_contains($symbols, coverage.symbol)
order by coverage.symbol
