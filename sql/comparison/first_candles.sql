-- first_candles: Selects the first stored minute of some symbols.
-- Parameters:
--   $symbols VARCHAR[]: only these symbols; all if empty
-- Returns: symbol, first_open_time; by symbol.
select symbol, min(open_time) as first_open_time
from candles_1m
where len($symbols) = 0 or symbol in (select unnest($symbols))
group by symbol
order by symbol
