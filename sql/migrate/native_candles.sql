-- native_candles: The rows of native_candles of one symbol.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
-- Returns: the columns of native_candles.
select *
from native_candles
where symbol = $symbol
