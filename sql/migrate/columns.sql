-- columns: Lists the columns of every table of the database in use.
-- Returns: table_name, column_name; in order.
select table_name, column_name
from duckdb_columns()
where database_name = current_database() and schema_name = current_schema() and not internal
order by table_name, column_index
