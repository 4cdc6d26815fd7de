-- flush_inlined: Writes the rows that lie in the catalog into files.
-- Parameters:
--   $lake VARCHAR: the name under which the lake is attached
call ducklake_flush_inlined_data($lake)
