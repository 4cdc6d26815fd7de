-- import_shifts: By how much the candles of a file equal the stored ones at another time, and how many do.
-- Reads the table incoming: the candles of the file.
-- Parameters:
--   $symbol VARCHAR: their symbol
--   $first TIMESTAMP: open time of the first
--   $last TIMESTAMP: open time of the last
-- Returns: shift (interval to add to the file's times), candles; the most first.
select
    stored.open_time - new.open_time as shift,
    count(*) as candles,
from incoming as new
inner join candles_1m as stored
    on new.open = stored.open
    and new.high = stored.high
    and new.low = stored.low
    and new.close = stored.close
-- A minute whose price does not move equals many others.
where
    new.high > new.low
    and stored.symbol = $symbol
    and stored.open_time >= $first - interval '14 hours'
    and stored.open_time <= $last + interval '14 hours'
    and stored.open_time - new.open_time between interval '-14 hours' and interval '14 hours'
group by shift
order by candles desc, abs(epoch(shift))
limit 20
