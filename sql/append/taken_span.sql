-- taken_span: Which rows of the file must move so that the candles of a range can be put in order.
-- DuckDB frees a row group only when all its rows are gone: the rows before and between move along.
-- Parameters:
--   $start TIMESTAMP: start of the range, UTC
--   $end TIMESTAMP: end of the range, exclusive
-- Returns: first_row, last_row; one row.
with row_groups as (
    select
        row_group_id,
        sum(count) as candles,
    from pragma_storage_info('candles_1m')
    where column_name = 'request_id' and segment_type = 'BIGINT'
    group by row_group_id
),
starts as (
    select sum(candles) over (order by row_group_id) - candles as first_row,
    from row_groups
),
span as (
    select
        min(rowid) as first_row,
        max(rowid) as last_row,
    from candles_1m
    where open_time >= $start and open_time < $end
)
select
    max(starts.first_row)::bigint as first_row,
    max(span.last_row) as last_row,
from starts
inner join span
    on starts.first_row <= span.first_row
