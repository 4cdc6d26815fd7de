-- insert_all_candles: Adds the incoming candles where nothing is stored yet of what they speak of.
-- Reads the tables of the append: incoming.
insert into candles_1m by name
select * from incoming
