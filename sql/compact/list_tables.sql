-- list_tables: Lists the tables of an attached database.
-- Parameters:
--   $database VARCHAR: name of the database
-- Returns: schema_name, table_name; in order.
select schema_name, table_name
from duckdb_tables()
where database_name = $database and not internal
order by all
