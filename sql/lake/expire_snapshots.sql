-- expire_snapshots: Forgets old states of the lake; its files remain.
-- Parameters:
--   $lake VARCHAR: the name under which the lake is attached
--   $kept INTERVAL: how long a state is remembered
call ducklake_expire_snapshots($lake, older_than => now() - $kept)
