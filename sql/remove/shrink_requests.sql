-- shrink_requests: Ends requests where the removed range begins; one that begins inside it is no longer conclusive.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
--   $start TIMESTAMP: start of the removed range, UTC
--   $end TIMESTAMP: end of the removed range, exclusive
update requests
set range_end = greatest(range_start, $start)
where
    symbol = $symbol
    and timeframe = '1m'
    and range_start < $end
    and range_end > $start
