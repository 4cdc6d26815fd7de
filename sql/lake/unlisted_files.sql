-- unlisted_files: Selects the Parquet files below the lake's data path that no state knows and no deletion awaits.
-- Failed and killed commits leave such files; a running commit also has some.
-- Parameters:
--   $files VARCHAR: the pattern of all Parquet files below the data path
-- Returns: path, bytes, is_own (whether DuckLake named the file); by path.
with present as (
    select filename as path, size as bytes
    from read_blob($files)
),
known as (
    -- File names contain random numbers, so the folders need not be compared.
    select name
    from postgres_query(
        '__ducklake_metadata_' || current_database(),
        'select regexp_replace(path, ''^.*/'', '''') as name
        from (
            select path from ducklake_data_file
            union all
            select path from ducklake_delete_file
            union all
            select path from ducklake_files_scheduled_for_deletion
        ) as files'
    )
)
select
    path,
    bytes,
    regexp_full_match(parse_filename(path), 'ducklake-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(-delete)?\.parquet') as is_own,
from present
anti join known on known.name = parse_filename(present.path)
order by path
