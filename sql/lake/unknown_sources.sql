-- unknown_sources: From where a select reads that a lake's user may not use, wherever in the statement it stands.
-- What is not listed here is refused, whatever a later version of DuckDB or of its extensions brings: some functions
-- write to the lake, some run what they are given as text, and those of the extension postgres ask any server.
-- Parameters:
--   $statement VARCHAR: one select
-- Returns: kind, name.
with parsed as (
    select json_serialize_sql($statement::varchar) as tree
),
sources as (
    select
        node.value ->> '$.type' as kind,
        lower(coalesce(node.value ->> '$.function.function_name', '')) as function_name,
        lower(coalesce(node.value ->> '$.catalog_name', '')) as catalog_name,
        lower(coalesce(node.value ->> '$.schema_name', '')) as schema_name,
        lower(coalesce(node.value ->> '$.table_name', '')) as table_name,
    from parsed, json_tree(parsed.tree) as node
    where node.type = 'OBJECT'
)
select 'table function' as kind, function_name as name
from sources
where
    kind = 'TABLE_FUNCTION'
    and function_name not in (
        'ducklake_current_snapshot', 'ducklake_last_committed_snapshot', 'ducklake_list_files', 'ducklake_options',
        'ducklake_settings', 'ducklake_snapshots', 'ducklake_table_changes', 'ducklake_table_deletions',
        'ducklake_table_info', 'ducklake_table_insertions',
        -- The same, called as the lake's own.
        'current_snapshot', 'last_committed_snapshot', 'options', 'snapshots', 'table_changes', 'table_deletions',
        'table_info', 'table_insertions',
        'generate_series', 'histogram', 'histogram_values', 'icu_calendar_names', 'json_each', 'json_tree',
        'pg_timezone_names', 'range', 'repeat', 'repeat_row', 'summary', 'test_all_types', 'test_vector_types',
        'unnest',
        'duckdb_columns', 'duckdb_constraints', 'duckdb_databases', 'duckdb_dependencies', 'duckdb_extensions',
        'duckdb_functions', 'duckdb_indexes', 'duckdb_keywords', 'duckdb_memory', 'duckdb_optimizers',
        'duckdb_schemas', 'duckdb_secrets', 'duckdb_sequences', 'duckdb_settings', 'duckdb_tables', 'duckdb_types',
        'duckdb_variables', 'duckdb_views',
        'pragma_collations', 'pragma_database_size', 'pragma_platform', 'pragma_show', 'pragma_table_info',
        'pragma_user_agent', 'pragma_version',
        -- Of the lake's own files: of no others does DuckDB read any here.
        'glob', 'parquet_file_metadata', 'parquet_kv_metadata', 'parquet_metadata', 'parquet_scan',
        'parquet_schema', 'read_parquet'
    )
    -- Whoever may write to the lake has made these.
    and function_name not in (
        select lower(function_name)
        from duckdb_functions()
        where function_type = 'table_macro' and database_name = current_database() and not internal
    )
union all
-- The catalog's database as a whole: a superuser would see the hashes of its passwords there.
select 'table of PostgreSQL' as kind, table_name as name
from sources
where
    kind in ('BASE_TABLE', 'SHOW_REF')
    and (
        starts_with(catalog_name, '__ducklake_metadata')
        or starts_with(schema_name, '__ducklake_metadata')
    )
union all
select 'statement' as kind, coalesce(tree ->> '$.error_message', 'it') as name
from parsed
where (tree ->> '$.error') is distinct from 'false'
order by all
