-- take_candles: Copies some rows of the file aside.
-- Parameters:
--   $first_row BIGINT: the first of them
--   $last_row BIGINT: the last of them
create or replace temporary table taken as
select *
from candles_1m
where rowid between $first_row and $last_row
