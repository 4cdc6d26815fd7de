-- revisions: The rows of revisions of one symbol.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
-- Returns: the columns of revisions.
select *
from revisions
where symbol = $symbol
