-- try_locks: Takes the locks in PostgreSQL that no other session holds, until the transaction ends.
-- Parameters:
--   $keys BIGINT[]: the numbers of the locks
-- Returns: whether all of them are held now; one row.
select bool_and(held)
from postgres_query(
    '__ducklake_metadata_store',
    format(
        'select pg_try_advisory_xact_lock(key) as held from unnest(array[{}]::bigint[]) as key',
        array_to_string($keys::bigint[], ',')
    )
)
