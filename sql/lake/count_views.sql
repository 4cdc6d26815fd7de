-- count_views: Counts the views of the lake.
-- Returns: views; one row.
select count(*) as views
from duckdb_views()
where database_name = current_database() and not internal
