-- unproven_minutes: Counts the stored minutes of a range that were imported and lie in no requested range.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
--   $start TIMESTAMP: start of the range, UTC
--   $end TIMESTAMP: end of the range, exclusive
-- Returns: minutes, one row.
select count(*) as minutes
from candles_1m as candle
inner join requests as brought on candle.request_id = brought.request_id
where
    candle.symbol = $symbol
    and candle.open_time >= $start
    and candle.open_time < $end
    and brought.source = 'import'
    and not exists (
        select 1
        from requests as asked
        where
            asked.symbol = candle.symbol
            and asked.timeframe = '1m'
            and asked.range_start <= candle.open_time
            and asked.range_end > candle.open_time
    )
