-- merge_files: Joins the small files of each symbol and month.
-- Parameters:
--   $lake VARCHAR: the name under which the lake is attached
call ducklake_merge_adjacent_files($lake)
