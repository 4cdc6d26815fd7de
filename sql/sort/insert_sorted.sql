-- insert_sorted: Writes some rows of the file again, in order.
-- Parameters:
--   $first_row BIGINT: the first of them
--   $last_row BIGINT: the last of them
insert into candles_1m by name
select *
from candles_1m
where rowid between $first_row and $last_row
order by symbol, open_time
