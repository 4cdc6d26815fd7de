-- count_views: How many views the lake holds.
-- Returns: views; one row.
select count(*) as views
from duckdb_views()
where database_name = current_database() and not internal
