-- fill_gaps: Selects all stored minutes, and the filled minutes of some gaps.
-- Reads the table chosen_gaps: symbol (null for every symbol), gap_start, gap_end.
-- Parameters:
--   $max_gap INTERVAL: longest gap that is filled
-- Returns: the columns of candles_1m without request_id, and is_filled; by symbol and open_time.
with span as (
    select
        coalesce(min(open_time), timestamp '1970-01-01') as first_open_time,
        coalesce(max(open_time), timestamp '1970-01-01') as last_open_time,
    from candles_1m
),
filled as (
    select minute.*
    from candles_filled(
        null,
        interval '1 minute',
        (select first_open_time from span),
        (select last_open_time from span) + interval '1 minute',
        max_gap := $max_gap
    ) as minute
    where
        minute.filled_minutes > 0
        and exists (
            from chosen_gaps as gap
            where
                (gap.symbol is null or gap.symbol = minute.symbol)
                and minute.open_time >= gap.gap_start
                and minute.open_time < gap.gap_end
        )
)
select * exclude (request_id), false as is_filled
from candles_1m
union all by name
select * exclude (minutes, expected_minutes, is_complete, filled_minutes), true as is_filled
from filled
order by symbol, open_time
