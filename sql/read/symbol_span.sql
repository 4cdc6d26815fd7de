-- symbol_span: Selects the first and last stored minute of one symbol.
-- Parameters:
--   $symbol VARCHAR: the symbol
-- Returns: first_open_time, last_open_time; one row, null values if nothing is stored.
select
    min(open_time) as first_open_time,
    max(open_time) as last_open_time,
from candles_1m
where symbol = $symbol
