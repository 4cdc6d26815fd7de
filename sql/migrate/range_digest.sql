-- range_digest: Computes the digest of one symbol's candles in a range, as month_digests does.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
--   $start TIMESTAMP: start of the range, UTC
--   $end TIMESTAMP: end of the range, exclusive
-- Returns: one number.
select sum(hash(candle)) as digest
from candles_1m as candle
where symbol = $symbol and open_time >= $start and open_time < $end
