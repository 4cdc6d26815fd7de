-- macros: The table macros that a lake holds, ours and other people's.
-- Returns: name, in lower case.
select distinct lower(function_name) as name
from duckdb_functions()
where function_type = 'table_macro' and database_name = current_database() and not internal
order by name
