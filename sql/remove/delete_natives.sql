-- delete_natives: Deletes the exchange's own candles of higher timeframes of a symbol.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
delete from native_candles
where symbol = $symbol
