-- list_references: The tables of an attached database that refer to another, by their foreign keys.
-- Parameters:
--   $database VARCHAR: its name
-- Returns: schema_name, table_name, referenced_table.
select distinct schema_name, table_name, referenced_table
from duckdb_constraints()
where database_name = $database and constraint_type = 'FOREIGN KEY' and referenced_table != table_name
order by all
