-- set_store_info: Records what this store is; keeps when it was made.
-- Parameters:
--   $version INTEGER: version of tables and views
--   $market VARCHAR: the market all its candles belong to
--   $now TIMESTAMP: the current time, UTC
insert into store_info by name
select
    $version as schema_version,
    $market as market,
    $now as created_at,
where not exists (from store_info)
