-- list_references: Lists the tables of an attached database whose foreign keys refer to another table.
-- Parameters:
--   $database VARCHAR: name of the database
-- Returns: schema_name, table_name, referenced_table.
select distinct schema_name, table_name, referenced_table
from duckdb_constraints()
where database_name = $database and constraint_type = 'FOREIGN KEY' and referenced_table != table_name
order by all
