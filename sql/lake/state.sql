-- state: Selects how full the lake is; PostgreSQL estimates the number of rows in the catalog.
-- Returns: version, files, catalog_rows; one row.
select
    (select value from ducklake_options(current_database()) where option_name = 'version') as version,
    (select sum(file_count + delete_file_count)::bigint from ducklake_table_info(current_database())) as files,
    (
        select live
        from postgres_query(
            '__ducklake_metadata_' || current_database(),
            'select coalesce(sum(n_live_tup), 0)::bigint as live
            from pg_stat_user_tables
            where relname ~ ''^ducklake_inlined_data_\d'''
        )
    ) as catalog_rows
