-- delete_mixed: Removes the rows of the file that insert_sorted has written again.
-- Parameters:
--   $first_row BIGINT: the first of the rows
--   $last_row BIGINT: the last of them
delete from candles_1m
where rowid between $first_row and $last_row
