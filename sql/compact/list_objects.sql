-- list_objects: Lists every object that an attached database defines, with its comments.
-- Parameters:
--   $database VARCHAR: name of the database
-- Definitions are left out, because DuckDB prints the columns of an exclude clause in any order.
-- Returns: kind, schema_name, name, part, comment; in order.
select 'table' as kind, schema_name, table_name as name, '' as part, comment
from duckdb_tables()
where database_name = $database and not internal
union all
select 'view', schema_name, view_name, '', comment
from duckdb_views()
where database_name = $database and not internal
union all
select 'column', schema_name, table_name, column_name || ' ' || data_type || ' ' || is_nullable, comment
from duckdb_columns()
where database_name = $database and not internal
union all
select function_type, schema_name, function_name, array_to_string(parameters, ', '), comment
from duckdb_functions()
where database_name = $database and not internal
order by all
