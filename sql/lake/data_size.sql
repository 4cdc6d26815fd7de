-- data_size: The files that hold the current state of the lake.
-- Returns: files, bytes; one row.
select
    sum(file_count + delete_file_count) as files,
    sum(file_size_bytes + delete_file_size_bytes) as bytes,
from ducklake_table_info(current_database())
