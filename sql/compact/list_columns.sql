-- list_columns: The columns of one table of an attached database, with what fills them if nothing else does.
-- Parameters:
--   $database VARCHAR: its name
--   $schema VARCHAR: the table's schema
--   $table VARCHAR: the table
-- Returns: column_name, column_default; in order.
select column_name, column_default
from duckdb_columns()
where database_name = $database and schema_name = $schema and table_name = $table
order by column_index
