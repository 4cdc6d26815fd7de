-- requests: The rows of requests of one symbol.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
-- Returns: the columns of requests.
select *
from requests
where symbol = $symbol
