-- delete_files: Deletes files that no remembered state of the lake needs.
-- Parameters:
--   $lake VARCHAR: the name under which the lake is attached
--   $kept INTERVAL: for how long a file stays that was needed until then
call ducklake_cleanup_old_files($lake, older_than => now() - $kept)
