-- symbol_spans: Selects the first and last stored minute of each symbol.
-- Returns: symbol, first_open_time, last_open_time; sorted by symbol.
select
    symbol,
    min(open_time) as first_open_time,
    max(open_time) as last_open_time,
from candles_1m
group by symbol
order by symbol
