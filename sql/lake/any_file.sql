-- any_file: One of the files that a pattern fits, if there is any.
-- Parameters:
--   $pattern VARCHAR: such as /mnt/candles/**/*.parquet
-- Returns: file; at most one row.
select file
from glob($pattern)
order by file
limit 1
