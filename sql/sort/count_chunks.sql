-- count_chunks: Measures how mixed the symbols of a range lie in the file.
-- Parameters:
--   $start TIMESTAMP: start of the range, UTC
--   $end TIMESTAMP: end of the range, exclusive
-- Returns: symbols, chunks of the file, and the pairs of symbol and chunk that occur; one row.
with pairs as (
    select distinct symbol, rowid // 1024 as chunk
    from candles_1m
    where open_time >= $start and open_time < $end
)
select
    count(distinct symbol) as symbols,
    count(distinct chunk) as chunks,
    count(*) as pairs,
from pairs
