-- delete_requests: Deletes the rows of requests of one symbol, before those of another store take their place.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
delete from requests
where symbol = $symbol
