-- set_store_info: Records version, market and creation time of a new store, and only the version of an upgraded one.
-- Parameters:
--   $version INTEGER: version of tables and views
--   $market VARCHAR: the market all its candles belong to
--   $now TIMESTAMP: the current time, UTC
merge into store_info
using (
    select
        $version as schema_version,
        $market as market,
        $now as created_at,
) as new
on true
when matched then update set schema_version = new.schema_version
when not matched then insert (schema_version, market, created_at)
    values (new.schema_version, new.market, new.created_at)
