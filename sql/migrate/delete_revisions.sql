-- delete_revisions: Deletes the rows of revisions of one symbol, before those of another store take their place.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
delete from revisions
where symbol = $symbol
