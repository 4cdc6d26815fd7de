-- rejected_rows: The rows of rejected_rows of one symbol.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
-- Returns: the columns of rejected_rows.
select *
from rejected_rows
where symbol = $symbol
