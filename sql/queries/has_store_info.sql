-- has_store_info: Whether the database has the table store_info.
-- Returns: one boolean.
select count(*) > 0 as has_store_info
from duckdb_tables()
where table_name = 'store_info' and database_name = current_database()
