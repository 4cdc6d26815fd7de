-- delete_revisions: Deletes the rows of revisions of one symbol, before another store's rows replace them.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
delete from revisions
where symbol = $symbol
