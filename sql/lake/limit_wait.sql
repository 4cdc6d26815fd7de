-- limit_wait: Limits how long PostgreSQL waits for each lock, until the transaction ends.
-- Parameters:
--   $milliseconds BIGINT: how long to wait for each lock
-- Returns: the value that was set; one row.
select milliseconds
from postgres_query(
    '__ducklake_metadata_store',
    format('select set_config(''lock_timeout'', ''{}'', true) as milliseconds', $milliseconds::bigint)
)
