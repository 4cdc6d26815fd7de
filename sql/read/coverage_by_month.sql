-- coverage_by_month: Counts the stored minutes of each symbol and calendar month (UTC), and the missing ones by reason.
-- Returns: symbol, month (its first day), expected (minutes between the symbol's first and last candle),
--   candles, outage, not_published, rejected, not_downloaded (minutes without a candle); by symbol and month.
with spans as materialized (
    select symbol, first_open_time, last_open_time + interval '1 minute' as end_time
    from coverage
),
months as (
    select
        symbol,
        first_open_time,
        end_time,
        unnest(generate_series(
            date_trunc('month', first_open_time)::timestamp,
            end_time - interval '1 microsecond',
            interval '1 month'
        )) as month,
    from spans
),
spanned as (
    select
        symbol,
        month,
        greatest(month, first_open_time) as span_start,
        least(month + interval '1 month', end_time) as span_end,
    from months
),
lost as (
    select
        spanned.symbol,
        spanned.month,
        gaps.reason,
        sum(date_diff('minute', greatest(gaps.gap_start, span_start), least(gaps.gap_end, span_end))) as minutes,
    from spanned
    inner join gaps
        on spanned.symbol = gaps.symbol
        and gaps.gap_start < span_end
        and gaps.gap_end > span_start
    group by spanned.symbol, spanned.month, gaps.reason
)
select
    spanned.symbol,
    spanned.month,
    date_diff('minute', span_start, span_end) as expected,
    (expected - coalesce(sum(lost.minutes), 0))::bigint as candles,
    coalesce(sum(lost.minutes) filter (where lost.reason = 'outage'), 0)::bigint as outage,
    coalesce(sum(lost.minutes) filter (where lost.reason = 'not_published'), 0)::bigint as not_published,
    coalesce(sum(lost.minutes) filter (where lost.reason = 'rejected'), 0)::bigint as rejected,
    coalesce(sum(lost.minutes) filter (where lost.reason = 'not_downloaded'), 0)::bigint as not_downloaded,
from spanned
left join lost on spanned.symbol = lost.symbol and spanned.month = lost.month
group by spanned.symbol, spanned.month, span_start, span_end
order by spanned.symbol, spanned.month
