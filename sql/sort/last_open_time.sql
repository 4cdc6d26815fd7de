-- last_open_time: Selects the latest stored minute of all symbols.
-- Returns: open_time; one row, null if nothing is stored.
select max(open_time) as open_time
from candles_1m
