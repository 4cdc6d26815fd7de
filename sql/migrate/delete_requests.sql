-- delete_requests: Deletes the rows of requests of one symbol, before another store's rows replace them.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
delete from requests
where symbol = $symbol
