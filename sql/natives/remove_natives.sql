-- remove_natives: Removes the native candles that incoming answers cover: the latest answer replaces them.
-- Reads the tables of the append: incoming_requests.
delete from native_candles as native
using incoming_requests as answer
where
    native.symbol = answer.symbol
    and native.timeframe = answer.timeframe
    and native.open_time >= answer.range_start
    and native.open_time < answer.range_end
