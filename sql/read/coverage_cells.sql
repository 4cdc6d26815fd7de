-- coverage_cells: Counts the minutes per symbol and month or day that are present, and those absent, by reason.
-- Counts from each symbol's first to its last candle, as the views coverage and gaps do.
-- Reads the table not_asked: symbol, range_start, range_end; ranges within [$start, $end) beyond the candles.
-- Parameters:
--   $start TIMESTAMP: start of the range, UTC
--   $end TIMESTAMP: end of the range, exclusive
--   $step VARCHAR: width of a cell, as text of an interval: 1 month or 1 day
-- Returns: symbol, cell_start, cell_end, expected, present, complete (percent), not_downloaded, rejected, outage,
--   not_published, not_asked (beyond the candles, not in expected); by symbol and time.
with ranges as (
    select
        symbol,
        'expected' as kind,
        greatest(date_trunc('minute', first_open_time)::timestamp, $start) as since,
        least(date_trunc('minute', last_open_time)::timestamp + interval '1 minute', $end) as until,
    from coverage
    union all
    select symbol, reason, greatest(gap_start, $start), least(gap_end, $end)
    from gaps
    union all
    select symbol, 'not_asked', range_start, range_end
    from not_asked
),
parts as (
    select
        symbol,
        kind,
        since,
        until,
        unnest(generate_series(
            time_bucket($step::interval, since), until - interval '1 microsecond', $step::interval
        )) as cell_start,
    from ranges
    where since < until
),
counted as (
    select
        symbol,
        cell_start,
        kind,
        sum(date_diff('minute', greatest(since, cell_start), least(until, cell_start + $step::interval))) as minutes,
    from parts
    group by symbol, cell_start, kind
),
cells as (
    select
        symbol,
        cell_start,
        coalesce(sum(minutes) filter (kind = 'expected'), 0)::bigint as expected,
        coalesce(sum(minutes) filter (kind = 'not_downloaded'), 0)::bigint as not_downloaded,
        coalesce(sum(minutes) filter (kind = 'rejected'), 0)::bigint as rejected,
        coalesce(sum(minutes) filter (kind = 'outage'), 0)::bigint as outage,
        coalesce(sum(minutes) filter (kind = 'not_published'), 0)::bigint as not_published,
        coalesce(sum(minutes) filter (kind = 'not_asked'), 0)::bigint as not_asked,
    from counted
    group by symbol, cell_start
)
select
    symbol,
    cell_start,
    cell_start + $step::interval as cell_end,
    expected,
    expected - not_downloaded - rejected - outage - not_published as present,
    percent_complete(expected - not_downloaded - rejected - outage - not_published, expected) as complete,
    not_downloaded,
    rejected,
    outage,
    not_published,
    not_asked,
from cells
order by symbol, cell_start
