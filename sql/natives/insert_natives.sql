-- insert_natives: Adds the incoming native candles.
-- Reads the tables of the append: incoming, incoming_requests.
insert into native_candles by name
select new.*, answer.timeframe
from incoming as new
inner join incoming_requests as answer on new.request_id = answer.request_id
