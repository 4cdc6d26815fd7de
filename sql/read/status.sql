-- status: Selects what is stored for each symbol, and when it was last requested.
-- Parameters:
--   $symbols VARCHAR[]: only these symbols; all if empty
-- Returns: symbol, first_open_time, last_open_time, candles, expected, missing, unproven (imported minutes that no
--   range requested from the exchange covers), last_requested_at, complete (percent); by symbol.
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
days as (
    -- The first and last imported minute decide for a whole day; only days in which a range begins or ends
    -- between these two are read minute by minute.
    select imports.symbol, brought.*
    from (
        select
            request_id,
            time_bucket(interval '1 day', open_time) as day,
            min(open_time) as first,
            max(open_time) as last,
            count(*) as candles,
        from candles_1m
        where request_id in (select request_id from imports)
        group by all
    ) as brought
    inner join imports on brought.request_id = imports.request_id
),
judged as (
    select
        days.symbol,
        days.request_id,
        days.day,
        days.candles,
        coalesce(before_first.range_end > days.last, false) as is_covered,
        coalesce(before_last.range_end > days.first, false) as is_touched,
    from days
    asof left join covered as before_first
        on days.symbol = before_first.symbol
        and days.first >= before_first.range_start
    asof left join covered as before_last
        on days.symbol = before_last.symbol
        and days.last >= before_last.range_start
),
mixed as (
    select judged.symbol, candle.open_time
    from candles_1m as candle
    inner join judged
        on candle.request_id = judged.request_id
        and time_bucket(interval '1 day', candle.open_time) = judged.day
    where judged.is_touched and not judged.is_covered
),
unproven as (
    select symbol, sum(candles)::bigint as candles
    from (
        select symbol, candles
        from judged
        where not is_touched
        union all
        select mixed.symbol, 1
        from mixed
        asof left join covered
            on mixed.symbol = covered.symbol
            and mixed.open_time >= covered.range_start
        where covered.range_end is null or mixed.open_time >= covered.range_end
    ) as counted
    group by symbol
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
    percent_complete(coverage.candles, coverage.expected) as complete,
from coverage
left join asked on coverage.symbol = asked.symbol
left join unproven on coverage.symbol = unproven.symbol
where len($symbols) = 0 or list_contains($symbols, coverage.symbol)
order by coverage.symbol
