-- insert_native_candles: Adds rows that were read from another store to native_candles.
-- Reads the table incoming.
insert into native_candles by name
select * from incoming
