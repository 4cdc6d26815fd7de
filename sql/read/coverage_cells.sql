-- coverage_cells: Counts the minutes per symbol and month or day that are present, and those absent, by reason.
-- Reads the table absences: symbol, gap_start, gap_end, reason; runs of absent minutes within [$start, $end).
-- Parameters:
--   $start TIMESTAMP: start of the range, UTC
--   $end TIMESTAMP: end of the range, exclusive
--   $step VARCHAR: width of a cell, as text of an interval: 1 month or 1 day
-- Returns: symbol, cell_start, cell_end, present, not_downloaded, rejected, outage, not_published; by symbol and time.
with parts as (
    select
        symbol,
        gap_start,
        gap_end,
        reason,
        unnest(
            generate_series(
                time_bucket($step::interval, gap_start), gap_end - interval '1 microsecond', $step::interval
            )
        ) as cell_start,
    from absences
),
minutes as (
    select
        symbol,
        cell_start,
        reason,
        date_diff('minute', greatest(gap_start, cell_start), least(gap_end, cell_start + $step::interval)) as minutes,
    from parts
    union all
    select symbol, time_bucket($step::interval, open_time), 'present', count(*)
    from candles_1m
    where open_time >= $start and open_time < $end
    group by symbol, time_bucket($step::interval, open_time)
)
select
    symbol,
    cell_start,
    cell_start + $step::interval as cell_end,
    coalesce(sum(minutes) filter (reason = 'present'), 0)::bigint as present,
    coalesce(sum(minutes) filter (reason = 'not_downloaded'), 0)::bigint as not_downloaded,
    coalesce(sum(minutes) filter (reason = 'rejected'), 0)::bigint as rejected,
    coalesce(sum(minutes) filter (reason = 'outage'), 0)::bigint as outage,
    coalesce(sum(minutes) filter (reason = 'not_published'), 0)::bigint as not_published,
from minutes
group by symbol, cell_start
order by symbol, cell_start
