-- forget_files: Removes files and the files of their deletions from the lake's catalog, in its own transaction.
-- This is for lost files: DuckLake must read rows to delete them. Older states of the lake also lose these files.
-- Parameters:
--   $ids BIGINT[]: the numbers of the files of rows
-- Returns: nothing of use.
from postgres_execute(
    '__ducklake_metadata_store',
    format(
        'with lost as (
            select table_id, count(*) as files, sum(record_count) as records, sum(file_size_bytes) as bytes
            from ducklake_data_file
            where data_file_id = any(array[{0}]::bigint[])
            group by table_id
        ),
        forgotten_statistics as (
            delete from ducklake_file_column_stats where data_file_id = any(array[{0}]::bigint[])
        ),
        forgotten_partitions as (
            delete from ducklake_file_partition_value where data_file_id = any(array[{0}]::bigint[])
        ),
        forgotten_deletions as (
            delete from ducklake_delete_file where data_file_id = any(array[{0}]::bigint[])
        ),
        counted as (
            update ducklake_table_stats as s
            set record_count = s.record_count - lost.records, file_size_bytes = s.file_size_bytes - lost.bytes
            from lost
            where s.table_id = lost.table_id
        )
        delete from ducklake_data_file where data_file_id = any(array[{0}]::bigint[])',
        array_to_string($ids::bigint[], ',')
    )
)
