-- evidence_times: Selects when both sides of some candles were requested, and when their stored minutes were revised.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
--   $timeframe VARCHAR: label of the exchange's own candles
--   $starts TIMESTAMP[]: start of each candle, UTC
--   $ends TIMESTAMP[]: end of each candle, exclusive
--   $first TIMESTAMP: the earliest of the starts
--   $last TIMESTAMP: the latest of the ends
-- Returns: open_time, ours_asked_at (latest), theirs_asked_at (latest), revised_at (latest); by open_time.
with ranges as (
    select unnest($starts) as range_start, unnest($ends) as range_end
),
minutes as (
    select distinct ranges.range_start, candle.request_id
    from candles_1m as candle
    asof join ranges on candle.open_time >= ranges.range_start
    where
        candle.symbol = $symbol
        and candle.open_time >= $first
        and candle.open_time < $last
        and candle.open_time < ranges.range_end
),
ours as (
    select minutes.range_start, max(request.requested_at) as asked_at
    from minutes
    inner join requests as request on minutes.request_id = request.request_id
    group by minutes.range_start
),
theirs as (
    -- An answer without the candle is also evidence.
    select ranges.range_start, max(request.requested_at) as asked_at
    from ranges
    inner join requests as request
        on request.symbol = $symbol
        and request.timeframe = $timeframe
        and request.range_start < ranges.range_end
        and request.range_end > ranges.range_start
    group by ranges.range_start
),
revised as (
    select ranges.range_start, max(revision.revised_at) as revised_at
    from ranges
    inner join revisions as revision
        on revision.symbol = $symbol
        and revision.open_time >= ranges.range_start
        and revision.open_time < ranges.range_end
        and revision.applied
    group by ranges.range_start
)
select
    ranges.range_start as open_time,
    ours.asked_at as ours_asked_at,
    theirs.asked_at as theirs_asked_at,
    revised.revised_at,
from ranges
left join ours on ranges.range_start = ours.range_start
left join theirs on ranges.range_start = theirs.range_start
left join revised on ranges.range_start = revised.range_start
order by ranges.range_start
