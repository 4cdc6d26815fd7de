-- verifiable_ranges: Selects the ranges of open times in which candles can be compared with the exchange's own.
-- A candle can be compared if each of its minutes is stored or lies in a conclusive range of the ledger: presence
-- needs no proof, so that imported minutes are compared like any others.
-- Parameters:
--   $symbols VARCHAR[]: symbol of each wanted range
--   $starts TIMESTAMP[]: earliest open time of each wanted range, UTC
--   $ends TIMESTAMP[]: end of each wanted range of open times, exclusive
--   $first TIMESTAMP: the earliest of the starts
--   $last TIMESTAMP: the latest of the ends
--   $timeframe VARCHAR: label of the exchange's own candles
--   $width VARCHAR: width of the compared candles, as text of an interval
--   $grid VARCHAR: distance between the instants at which a candle may open, as text of an interval
-- Returns: symbol, range_start, range_end, is_asked (whether the exchange's own were requested); sorted, disjoint.
with wanted as (
    select
        unnest($symbols) as symbol,
        unnest($starts) as range_start,
        unnest($ends) as range_end,
),
asked as (
    select symbol, timeframe, range_start, range_end
    from requests
    where
        timeframe in ('1m', $timeframe)
        and range_start < range_end
        and symbol in (select symbol from wanted)
),
scattering as (
    -- Candles inside the range of their own request need no search; only candles that other requests brought do.
    select brought.request_id
    from (
        select request_id, min(open_time) as first, max(open_time) as last
        from candles_1m
        where
            -- Bounds are faster than a list; the end of the statement leaves out the symbols between the wanted ones.
            symbol between list_min($symbols) and list_max($symbols)
            and open_time >= $first
            -- Adding the width of a month to a time in year 9999 would overflow.
            and open_time < least($last::timestamp, timestamp '9990-01-01') + $width::interval
        group by request_id
    ) as brought
    left join requests as request on brought.request_id = request.request_id
    where
        request.request_id is null
        or brought.first < request.range_start
        or brought.last >= request.range_end
),
days as (
    -- A day whose minutes leave no hole is one run; only the others are looked at minute by minute.
    select
        symbol,
        open_time::date as day,
        min(open_time) as range_start,
        max(open_time) + interval '1 minute' as range_end,
        count(*) * interval '1 minute' = max(open_time) + interval '1 minute' - min(open_time) as is_whole,
    from candles_1m
    where
        request_id in (select request_id from scattering)
        and symbol between list_min($symbols) and list_max($symbols)
        and open_time >= $first
        and open_time < least($last::timestamp, timestamp '9990-01-01') + $width::interval
    group by all
),
firsts as (
    select
        candle.symbol,
        candle.open_time,
        candle.open_time - interval '1 minute' is distinct from lag(candle.open_time) over (
            partition by candle.symbol
            order by candle.open_time
        ) as is_first,
    from candles_1m as candle
    inner join days
        on candle.symbol = days.symbol
        and candle.open_time::date = days.day
    where
        not days.is_whole
        and candle.request_id in (select request_id from scattering)
        and candle.symbol between list_min($symbols) and list_max($symbols)
        and candle.open_time >= $first
        and candle.open_time < least($last::timestamp, timestamp '9990-01-01') + $width::interval
),
runs as (
    select symbol, min(open_time) as range_start, max(open_time) + interval '1 minute' as range_end
    from (
        select
            symbol,
            open_time,
            sum(is_first::int) over (
                partition by symbol
                order by open_time
                rows between unbounded preceding and current row
            ) as number,
        from firsts
    ) as minutes
    group by symbol, number
    union all
    select symbol, range_start, range_end
    from days
    where is_whole
),
known as (
    select symbol, range_start, range_end
    from asked
    where timeframe = '1m'
    union all
    select symbol, range_start, range_end
    from runs
),
numbered as (
    select
        symbol,
        range_start,
        range_end,
        sum(case when range_start <= reached then 0 else 1 end) over by_time as number,
    from (
        select
            *,
            max(range_end) over (by_time rows between unbounded preceding and 1 preceding) as reached,
        from known
        window by_time as (partition by symbol order by range_start, range_end)
    ) as ranges
    window by_time as (partition by symbol order by range_start, range_end)
),
conclusive as (
    select symbol, min(range_start) as range_start, max(range_end) as range_end
    from numbered
    group by symbol, number
),
aligned as (
    -- The first instant of the grid at or after a time follows the one of the microsecond before it.
    select
        conclusive.symbol,
        $grid::interval + time_bucket(
            $grid::interval, greatest(conclusive.range_start, wanted.range_start) - interval '1 microsecond'
        ) as range_start,
        least(
            time_bucket($grid::interval, conclusive.range_end) + $grid::interval - $width::interval,
            $grid::interval + time_bucket($grid::interval, wanted.range_end - interval '1 microsecond')
        ) as range_end,
    from conclusive
    inner join wanted
        on conclusive.symbol = wanted.symbol
        and conclusive.range_start < wanted.range_end
        and conclusive.range_end > wanted.range_start
),
steps as (
    select symbol, moment, sum(wanted) as wanted, sum(asked) as asked
    from (
        select symbol, unnest([range_start, range_end]) as moment, unnest([1, -1]) as wanted, 0 as asked
        from aligned
        where range_start < range_end
        union all
        select symbol, unnest([range_start, range_end]), 0, unnest([1, -1])
        from asked
        where timeframe = $timeframe
    ) as edges
    group by symbol, moment
    having sum(wanted) <> 0 or sum(asked) <> 0
),
pieces as (
    select
        symbol,
        moment as range_start,
        lead(moment) over by_time as range_end,
        sum(wanted) over by_time > 0 as is_wanted,
        sum(asked) over by_time > 0 as is_asked,
    from steps
    window by_time as (partition by symbol order by moment)
)
select symbol, range_start, range_end, is_asked
from pieces
where is_wanted
order by symbol, range_start
