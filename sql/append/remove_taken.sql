-- remove_taken: Removes the candles of a range that were copied aside.
-- Parameters:
--   $start TIMESTAMP: start of the range, UTC
--   $end TIMESTAMP: end of the range, exclusive
delete from candles_1m
where open_time >= $start and open_time < $end
