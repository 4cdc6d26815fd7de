-- delete_orphans: Deletes files below the lake's data path that no state of the lake knows.
-- Parameters:
--   $lake VARCHAR: the name under which the lake is attached
--   $kept INTERVAL: how old a file must be; a running commit has files that no state knows yet
call ducklake_delete_orphaned_files($lake, older_than => now() - $kept)
