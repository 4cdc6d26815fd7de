-- sorted_span: Selects the rows of the file that must move so that the candles of a range can be sorted.
-- DuckDB frees a row group only when all its rows are gone, so rows that share one with the range move too.
-- Reads the table row_groups, which find_row_groups makes.
-- Parameters:
--   $start TIMESTAMP: start of the range, UTC
--   $end TIMESTAMP: end of the range, exclusive
-- Returns: first_row, last_row; one row, null if the range is empty.
with span as (
    select
        min(rowid) as first_row,
        max(rowid) as last_row,
    from candles_1m
    where open_time >= $start and open_time < $end
)
select
    min(row_groups.first_row)::bigint as first_row,
    max(row_groups.last_row)::bigint as last_row,
from row_groups
inner join span
    on row_groups.last_row >= span.first_row and row_groups.first_row <= span.last_row
