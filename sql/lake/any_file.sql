-- any_file: Selects one file that matches a pattern, if any does.
-- Parameters:
--   $pattern VARCHAR: such as /mnt/candles/**/*.parquet
-- Returns: file; at most one row.
select file
from glob($pattern)
order by file
limit 1
