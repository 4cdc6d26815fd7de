-- find_natives: Keeps the stored native candles that incoming answers cover.
-- Reads the tables of the append: incoming_requests.
create or replace temporary table stored as
select native.*
from native_candles as native
inner join incoming_requests as answer
    on native.symbol = answer.symbol
    and native.timeframe = answer.timeframe
    and native.open_time >= answer.range_start
    and native.open_time < answer.range_end
