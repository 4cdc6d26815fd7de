-- evidence: Selects the rows of one symbol in a table of evidence.
-- Parameters:
--   $table VARCHAR: the table's name, such as requests
--   $symbol VARCHAR: the exchange's string
-- Returns: the columns of that table.
select *
from query_table($table)
where symbol = $symbol
