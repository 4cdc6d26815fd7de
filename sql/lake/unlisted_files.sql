-- unlisted_files: Parquet files below the lake's data path that no state of the lake knows, nor waits to delete.
-- Commits that failed or were killed leave such files; a commit that runs has some too.
-- Parameters:
--   $files VARCHAR: the pattern of all Parquet files below the data path
-- Returns: path, bytes, is_own: whether DuckLake gave the file its name; in order of path.
with present as (
    select filename as path, size as bytes
    from read_blob($files)
),
known as (
    -- Names hold random numbers, so that the folder need not be compared.
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
