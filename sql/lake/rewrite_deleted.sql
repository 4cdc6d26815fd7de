-- rewrite_deleted: Rewrites the files in which many rows are deleted.
-- Parameters:
--   $lake VARCHAR: the name under which the lake is attached
call ducklake_rewrite_data_files($lake)
