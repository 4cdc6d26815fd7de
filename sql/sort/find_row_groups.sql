-- find_row_groups: Keeps the range of rows that each row group of the file holds, for sorted_span.
-- It is kept because DuckDB lists every segment of every column to find it, which takes long in a large file.
create or replace temporary table row_groups as
with counted as (
    select
        row_group_id,
        sum(count) as candles,
    from pragma_storage_info('candles_1m')
    where column_name = 'request_id' and segment_type = 'BIGINT'
    group by row_group_id
)
select
    sum(candles) over by_place - candles as first_row,
    sum(candles) over by_place - 1 as last_row,
from counted
window by_place as (order by row_group_id)
