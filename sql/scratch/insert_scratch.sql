-- insert_scratch: Adds candles without a request to a store in memory.
-- Reads the table incoming: candles without request_id.
insert into candles_1m by name
select *, 0 as request_id
from incoming
