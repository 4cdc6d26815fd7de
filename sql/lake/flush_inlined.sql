-- flush_inlined: Writes the rows that the catalog holds into files.
-- Parameters:
--   $lake VARCHAR: the name under which the lake is attached
call ducklake_flush_inlined_data($lake)
