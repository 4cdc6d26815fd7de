-- inline_small_commits: Keeps small commits as rows of the catalog; otherwise each would write one file per symbol.
-- Parameters:
--   $lake VARCHAR: the name under which the lake is attached
call ducklake_set_option($lake, 'data_inlining_row_limit', 5000)
