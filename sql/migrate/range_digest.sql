-- range_digest: The digest of one symbol's candles in a range, as month_digests gives it.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
--   $start TIMESTAMP: start of the range, UTC
--   $end TIMESTAMP: end of the range, exclusive
-- Returns: the number.
select sum(hash(candle)) as digest
from candles_1m as candle
where symbol = $symbol and open_time >= $start and open_time < $end
