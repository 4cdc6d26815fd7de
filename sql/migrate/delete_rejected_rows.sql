-- delete_rejected_rows: Deletes the rows of rejected_rows of one symbol, before another store's rows replace them.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
delete from rejected_rows
where symbol = $symbol
