-- symbols_between: Selects the symbols in a range of names for which anything is stored.
-- Parameters:
--   $first VARCHAR: the first symbol of the range
--   $last VARCHAR: the last one, included
-- Returns: symbol, in order.
from (
    select distinct symbol from requests
    union
    select distinct symbol from candles_1m
)
where symbol between $first and $last
order by symbol
