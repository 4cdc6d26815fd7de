-- store_info: What this store is.
-- Returns: schema_version, market; one row.
select schema_version, market from store_info
