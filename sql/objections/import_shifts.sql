-- import_shifts: Selects the time shifts at which candles of a file equal stored ones, and counts these candles.
-- Reads the table incoming: the candles of the file.
-- Parameters:
--   $symbol VARCHAR: their symbol
--   $first TIMESTAMP: open time of the first
--   $last TIMESTAMP: open time of the last
-- Returns: shift (interval to add to the file's times), candles, compared (number of comparable candles); most candles
--   first.
with days as (
    select distinct time_bucket(interval '1 day', open_time) as day from incoming
),

near as (
    select open_time, open, high, low, close
    from candles_1m
    where
        symbol = $symbol
        -- A minute with a constant price equals many others.
        and high > low
        and open_time >= $first - interval '14 hours'
        and open_time <= $last + interval '14 hours'
        and (
            time_bucket(interval '1 day', open_time - interval '14 hours') in (select day from days)
            or time_bucket(interval '1 day', open_time + interval '14 hours') in (select day from days)
        )
),

-- An evenly spread sample suffices: where prices repeat, the pairs of all candles would grow quadratically.
sample as (
    select *
    from (
        select *, row_number() over (order by open_time) as number, count(*) over () as rows from near
    )
    where number % greatest(rows // 500, 1) = 0
),

-- Materialized: otherwise DuckDB 1.5 joins the file with every shift before it compares times.
claims as materialized (
    select
        minutes,
        open_time - to_minutes(minutes) as claimed,
        open,
        high,
        low,
        close,
    from sample
    cross join (select unnest(range(-840, 841)) as minutes)
)

select
    to_minutes(minutes) as shift,
    count(*) filter (
        where
            new.open = stored.open
            and new.high = stored.high
            and new.low = stored.low
            and new.close = stored.close
    ) as candles,
    count(*) as compared,
from claims as stored
inner join incoming as new on new.open_time = stored.claimed
group by minutes
having candles > 0
order by candles desc, abs(minutes)
limit 20
