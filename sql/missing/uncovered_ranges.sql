-- uncovered_ranges: Selects the parts of wanted ranges that no conclusive request for 1m candles covers.
-- Parameters:
--   $symbols VARCHAR[]: symbol of each wanted range
--   $starts TIMESTAMP[]: start of each wanted range, UTC
--   $ends TIMESTAMP[]: end of each wanted range, exclusive
-- Returns: symbol, range_start, range_end; sorted, disjoint.
with wanted as (
    select
        unnest($symbols) as symbol,
        unnest($starts) as range_start,
        unnest($ends) as range_end,
),
covered as (
    select
        wanted.symbol,
        wanted.range_start as wanted_start,
        request.range_start,
        request.range_end,
    from wanted
    inner join requests as request
        on wanted.symbol = request.symbol
        and request.timeframe = '1m'
        and request.range_start < request.range_end
        and request.range_start < wanted.range_end
        and request.range_end > wanted.range_start
    -- Empty ranges at both ends of a wanted range, so that a hole at either end, or over the whole range, is found.
    union all
    select symbol, range_start, range_start, range_start from wanted
    union all
    select symbol, range_start, range_end, range_end from wanted
),
reached as (
    select
        symbol,
        range_start as range_end,
        max(range_end) over (
            partition by symbol, wanted_start
            order by range_start, range_end
            rows between unbounded preceding and 1 preceding
        ) as range_start,
    from covered
)
select symbol, range_start, range_end
from reached
where range_start < range_end
order by symbol, range_start
