-- import_unproven: Selects the candles of a file, except those of minutes that the exchange is known to lack.
-- Reads the table incoming: the candles of the file.
-- Parameters:
--   $symbol VARCHAR: their symbol
--   $first TIMESTAMP: open time of the first
--   $end TIMESTAMP: end of the last, exclusive
-- Returns: the columns of incoming, by open_time.
with proven as (
    select new.open_time
    from incoming as new
    inner join requests as request
        on request.symbol = $symbol
        and request.timeframe = '1m'
        and request.range_start < $end
        and request.range_end > $first
        and new.open_time >= request.range_start
        and new.open_time < request.range_end
)
select *
from incoming as new
where
    open_time not in (select open_time from proven)
    or open_time in (
        select open_time
        from candles_1m
        where symbol = $symbol and candles_1m.open_time >= $first and candles_1m.open_time < $end
    )
order by open_time
