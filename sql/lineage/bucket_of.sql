-- bucket_of: Selects the candle of some width that contains a moment.
-- Parameters:
--   $moment TIMESTAMP: the moment, UTC
--   $width VARCHAR: width of the candle, as text of an interval
-- Returns: open_time, end_time (exclusive); one row.
select
    time_bucket($width::interval, $moment) as open_time,
    time_bucket($width::interval, $moment) + $width::interval as end_time,
