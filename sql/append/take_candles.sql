-- take_candles: Copies the candles of a range aside.
-- Parameters:
--   $start TIMESTAMP: start of the range, UTC
--   $end TIMESTAMP: end of the range, exclusive
create or replace temporary table taken as
select *
from candles_1m
where open_time >= $start and open_time < $end
