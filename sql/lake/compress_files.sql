-- compress_files: Compresses the lake's files with zstd, which makes them a quarter smaller than the default does.
-- Parameters:
--   $lake VARCHAR: the name under which the lake is attached
call ducklake_set_option($lake, 'parquet_compression', 'zstd')
