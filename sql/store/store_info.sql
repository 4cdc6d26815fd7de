-- store_info: Selects version, market and origin of this store.
-- Returns: schema_version, market, created_at, published_at, published_from; one row.
select schema_version, market, created_at, published_at, published_from from store_info
