-- data_size: Counts the files that hold the lake's current state, and their bytes.
-- Returns: files, bytes; one row.
select
    sum(file_count + delete_file_count) as files,
    sum(file_size_bytes + delete_file_size_bytes) as bytes,
from ducklake_table_info(current_database())
