-- off_grid_open_time: Finds candles that do not open on a whole minute.
-- Columns:
--   symbol: the exchange's string
--   open_time: open time as stored, UTC
--   minute: the whole minute it lies in, UTC
--   request_id: the request that brought the candle
select symbol, open_time, date_trunc('minute', open_time) as minute, request_id
from candles_1m
where epoch_us(open_time) % 60000000 <> 0
