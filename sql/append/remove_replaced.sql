-- remove_replaced: Removes the stored candles that an incoming answer of equal or higher rank replaces or lacks.
-- Reads the tables of the append: incoming_requests.
-- Parameters:
--   $first TIMESTAMP: earliest minute that any answer covers
--   $last TIMESTAMP: end of the latest minute, exclusive
delete from candles_1m as candle
using revisions as revision
where
    candle.symbol = revision.symbol
    and candle.open_time = revision.open_time
    and revision.applied
    and revision.new_request_id in (select request_id from incoming_requests)
    and candle.open_time >= $first
    and candle.open_time < $last
