-- differing_ranges: Selects the runs of minutes in which a symbol differs between this store and the attached one.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
--   $start TIMESTAMP: start of the range, UTC
--   $end TIMESTAMP: end of the range, exclusive
-- Returns: kind (only_here, only_there or differs), range_start, range_end, minutes; by time.
with here as (
    select * from candles_1m where symbol = $symbol and open_time >= $start and open_time < $end
),
there as (
    select * from the_other_store.candles_1m where symbol = $symbol and open_time >= $start and open_time < $end
),
pairs as (
    select
        coalesce(here.open_time, there.open_time) as minute,
        case
            when there.open_time is null then 'only_here'
            when here.open_time is null then 'only_there'
            else 'differs'
        end as kind,
    from here
    full join there on here.open_time = there.open_time
    where
        here.open is distinct from there.open
        or here.high is distinct from there.high
        or here.low is distinct from there.low
        or here.close is distinct from there.close
        or here.volume is distinct from there.volume
        or here.quote_volume is distinct from there.quote_volume
        or here.trade_count is distinct from there.trade_count
        or here.taker_buy_volume is distinct from there.taker_buy_volume
        or here.taker_buy_quote_volume is distinct from there.taker_buy_quote_volume
),
runs as (
    select *, minute - interval '1 minute' * row_number() over (partition by kind order by minute) as run
    from pairs
)
select
    kind,
    min(minute) as range_start,
    max(minute) + interval '1 minute' as range_end,
    count(*) as minutes,
from runs
group by kind, run
order by range_start
