-- delete_native_candles: Deletes the rows of native_candles of one symbol, before those of another store take their place.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
delete from native_candles
where symbol = $symbol
