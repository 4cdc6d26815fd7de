-- changed_candles: Selects the candles of some width in which requests added, replaced or removed minutes.
-- Parameters:
--   $request_ids BIGINT[]: the requests
--   $width VARCHAR: width of the candles, as text of an interval
-- Returns: symbol, range_start, range_end (exclusive); neighbouring candles as one range, by symbol and time.
with minutes as (
    select symbol, open_time
    from candles_1m
    where request_id in (select unnest($request_ids))
    union all
    select symbol, open_time
    from revisions
    where applied and new_request_id in (select unnest($request_ids))
),
candles as (
    select distinct symbol, time_bucket($width::interval, open_time) as open_time
    from minutes
),
numbered as (
    select
        *,
        sum(case when open_time = previous + $width::interval then 0 else 1 end) over (
            partition by symbol
            order by open_time
        ) as number,
    from (
        select *, lag(open_time) over (partition by symbol order by open_time) as previous
        from candles
    ) as neighbours
)
select symbol, min(open_time) as range_start, max(open_time) + $width::interval as range_end
from numbered
group by symbol, number
order by symbol, range_start
