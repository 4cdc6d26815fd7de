-- sorted_span: Which rows of the file must move so that the candles of a range can be put in order.
-- DuckDB frees a row group only when all its rows are gone: what shares one with the range moves along.
-- Parameters:
--   $start TIMESTAMP: start of the range, UTC
--   $end TIMESTAMP: end of the range, exclusive
-- Returns: first_row, last_row; one row, null if the range is empty.
with row_groups as (
    select
        row_group_id,
        sum(count) as candles,
    from pragma_storage_info('candles_1m')
    where column_name = 'request_id' and segment_type = 'BIGINT'
    group by row_group_id
),
bounds as (
    select
        sum(candles) over by_place - candles as first_row,
        sum(candles) over by_place - 1 as last_row,
    from row_groups
    window by_place as (order by row_group_id)
),
span as (
    select
        min(rowid) as first_row,
        max(rowid) as last_row,
    from candles_1m
    where open_time >= $start and open_time < $end
)
select
    min(bounds.first_row)::bigint as first_row,
    max(bounds.last_row)::bigint as last_row,
from bounds
inner join span
    on bounds.last_row >= span.first_row and bounds.first_row <= span.last_row
