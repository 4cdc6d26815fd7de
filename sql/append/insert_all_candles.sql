-- insert_all_candles: Adds the incoming candles when no candle is stored yet in the ranges they cover.
-- Reads the tables of the append: incoming.
insert into candles_1m by name
select * from incoming
