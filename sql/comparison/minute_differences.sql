-- minute_differences: Selects the minutes in which a symbol's stored candles differ from an answer of the exchange.
-- Reads the caller's table answered: the candles of the answer.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
--   $starts TIMESTAMP[]: start of each answered range, UTC, sorted and disjoint
--   $ends TIMESTAMP[]: end of each of these ranges, exclusive
--   $first TIMESTAMP: the earliest of the starts
--   $last TIMESTAMP: the latest of the ends
-- Returns: range_start, range_end, differing, only_stored, only_answered (numbers of minutes: with
--   differing values, in the store only, in the answer only); runs of neighbouring minutes, by time.
with ranges as (
    select unnest($starts) as range_start, unnest($ends) as range_end
),
stored as (
    select *
    from candles_1m
    where symbol = $symbol and open_time >= $first and open_time < $last
),
pairs as (
    select
        coalesce(stored.open_time, answered.open_time) as minute,
        answered.open_time is null as is_only_stored,
        stored.open_time is null as is_only_answered,
    from stored
    full join answered on stored.open_time = answered.open_time
    where
        stored.open is distinct from answered.open
        or stored.high is distinct from answered.high
        or stored.low is distinct from answered.low
        or stored.close is distinct from answered.close
        or stored.volume is distinct from answered.volume
        or stored.quote_volume <> answered.quote_volume
        or stored.trade_count <> answered.trade_count
        or stored.taker_buy_volume <> answered.taker_buy_volume
        or stored.taker_buy_quote_volume <> answered.taker_buy_quote_volume
),
numbered as (
    select pairs.*, minute - interval '1 minute' * row_number() over (order by minute) as run
    from pairs
    asof join ranges on pairs.minute >= ranges.range_start
    where pairs.minute < ranges.range_end
)
select
    min(minute) as range_start,
    max(minute) + interval '1 minute' as range_end,
    count(*) filter (where not is_only_stored and not is_only_answered) as differing,
    count(*) filter (where is_only_stored) as only_stored,
    count(*) filter (where is_only_answered) as only_answered,
from numbered
group by run
order by range_start
