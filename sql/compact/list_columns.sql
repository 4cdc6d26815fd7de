-- list_columns: Lists the columns of one table of an attached database, with their default values.
-- Parameters:
--   $database VARCHAR: name of the database
--   $schema VARCHAR: the table's schema
--   $table VARCHAR: the table
-- Returns: column_name, column_default; in the order of the table.
select column_name, column_default
from duckdb_columns()
where database_name = $database and schema_name = $schema and table_name = $table
order by column_index
