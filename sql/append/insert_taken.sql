-- insert_taken: Puts the candles that were copied aside back in order.
insert into candles_1m by name
select *
from taken
order by symbol, open_time
