-- delete_files: Deletes files that no remembered state of the lake needs.
-- Parameters:
--   $lake VARCHAR: the name under which the lake is attached
--   $kept INTERVAL: how long a file stays after the last state that needed it was forgotten
call ducklake_cleanup_old_files($lake, older_than => now() - $kept)
