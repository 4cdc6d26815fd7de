-- take_locks: Takes locks in PostgreSQL until the transaction ends, one after another, and waits for each.
-- Parameters:
--   $keys BIGINT[]: the numbers of the locks, in ascending order
-- Returns: one row once all are held.
select max(held)
from postgres_query(
    '__ducklake_metadata_store',
    format(
        'select pg_advisory_xact_lock(key)::text as held from unnest(array[{}]::bigint[]) as key',
        array_to_string($keys::bigint[], ',')
    )
)
