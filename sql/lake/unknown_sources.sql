-- unknown_sources: Selects every source in a statement that a user of the lake may not read.
-- A source not listed here is refused, also one that a later DuckDB or extension adds: some functions
-- write to the lake, some run text as SQL, and those of the postgres extension query any server.
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
        -- The same functions, called with the lake's name as prefix.
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
        -- Only the lake's own files: DuckDB reads no other files here.
        'glob', 'parquet_file_metadata', 'parquet_kv_metadata', 'parquet_metadata', 'parquet_scan',
        'parquet_schema', 'read_parquet'
    )
    -- Only users with write access to the lake can have created these.
    and function_name not in (
        select lower(function_name)
        from duckdb_functions()
        where function_type = 'table_macro' and database_name = current_database() and not internal
    )
union all
-- This refuses the catalog's database as a whole: a superuser would see its password hashes there.
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
