-- lost_files: Selects the files of the lake's current state that are missing or incomplete, and their catalog entries.
-- The rows of such a file cannot be read any more; the catalog knows their smallest and largest values.
-- Parameters:
--   $files VARCHAR: the pattern of all Parquet files below the data path
-- Returns: table_name, path, found_bytes, bytes, data_file_id, records, first_symbol, last_symbol, start_time, end_time;
--   one row per file of rows that cannot be read because it or the file of its deletions is lost, in order of
--   table and path. found_bytes is null for a file that is not there; start_time and end_time are the first and the
--   last moment of its rows, UTC.
with present as (
    select filename as path, size as bytes
    from read_blob($files)
),
listed as (
    select *
    from postgres_query(
        '__ducklake_metadata_' || current_database(),
        'with folders as (
            select
                t.table_id,
                t.table_name,
                case when t.path_is_relative
                    then case when s.path_is_relative then m.value || s.path else s.path end || t.path
                    else t.path
                end as folder
            from ducklake_table as t
            inner join ducklake_schema as s on s.schema_id = t.schema_id and s.end_snapshot is null
            inner join ducklake_metadata as m on m.key = ''data_path'' and m.scope is null
            where t.end_snapshot is null
        ),
        files as (
            select data_file_id, table_id, path, path_is_relative, file_size_bytes
            from ducklake_data_file
            where end_snapshot is null
            union all
            select data_file_id, table_id, path, path_is_relative, file_size_bytes
            from ducklake_delete_file
            where end_snapshot is null
        ),
        extremes as (
            select
                c.data_file_id,
                min(c.min_value) filter (where n.column_name = ''symbol'') as first_symbol,
                max(c.max_value) filter (where n.column_name = ''symbol'') as last_symbol,
                min(c.min_value) filter (where n.column_name in (''open_time'', ''minute'', ''range_start''))
                    as start_time,
                max(c.max_value) filter (where n.column_name in (''open_time'', ''minute'', ''range_end''))
                    as end_time
            from ducklake_file_column_stats as c
            inner join ducklake_column as n
                on n.table_id = c.table_id and n.column_id = c.column_id and n.end_snapshot is null
            group by c.data_file_id
        )
        select
            folders.table_name,
            case when files.path_is_relative then folders.folder || files.path else files.path end as path,
            files.file_size_bytes as bytes,
            files.data_file_id,
            ducklake_data_file.record_count as records,
            extremes.first_symbol,
            extremes.last_symbol,
            extremes.start_time,
            extremes.end_time
        from files
        inner join folders on folders.table_id = files.table_id
        inner join ducklake_data_file on ducklake_data_file.data_file_id = files.data_file_id
        left join extremes on extremes.data_file_id = files.data_file_id'
    )
)
select
    listed.table_name,
    arg_min(listed.path, listed.path) as path,
    arg_min(present.bytes, listed.path) as found_bytes,
    arg_min(listed.bytes, listed.path) as bytes,
    listed.data_file_id,
    any_value(listed.records) as records,
    any_value(listed.first_symbol) as first_symbol,
    any_value(listed.last_symbol) as last_symbol,
    any_value(listed.start_time)::timestamp as start_time,
    any_value(listed.end_time)::timestamp as end_time,
from listed
left join present on present.path = listed.path
where present.bytes is distinct from listed.bytes
group by listed.table_name, listed.data_file_id
order by listed.table_name, path
