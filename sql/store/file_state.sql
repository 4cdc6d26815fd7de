-- file_state: Selects how full the database file is, and which DuckDB versions can read it.
-- Returns: block_size, total_blocks, free_blocks, storage_version; one row.
select size.block_size, size.total_blocks, size.free_blocks, entry.tags['storage_version']
from pragma_database_size() as size
inner join duckdb_databases() as entry on size.database_name = entry.database_name
where size.database_name = current_database()
