-- limit_wait: Ends the wait for a lock in PostgreSQL after a while, until the transaction ends.
-- Parameters:
--   $milliseconds BIGINT: how long to wait for each lock
-- Returns: what was set; one row.
select milliseconds
from postgres_query(
    '__ducklake_metadata_store',
    format('select set_config(''lock_timeout'', ''{}'', true) as milliseconds', $milliseconds::bigint)
)
