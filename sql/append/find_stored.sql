-- find_stored: Keeps the stored candles that incoming answers cover, with the rank of their source.
-- Reads the tables of the append: incoming_requests.
-- Parameters:
--   $first TIMESTAMP: earliest minute that any answer covers
--   $last TIMESTAMP: end of the latest minute, exclusive
create or replace temporary table stored as
select
    candle.*,
    source_rank(request.source) as rank,
    answer.request_id as new_request_id,
from candles_1m as candle
inner join incoming_requests as answer
    on candle.symbol = answer.symbol
    and candle.open_time >= answer.first_minute
    and candle.open_time < answer.last_minute
left join requests as request on candle.request_id = request.request_id
-- The range is also given as parameters, because only parameters prune row groups in every DuckDB version.
where candle.open_time >= $first and candle.open_time < $last
