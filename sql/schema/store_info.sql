-- store_info: What this store is; one row.
-- Columns:
--   schema_version: version of the tables and views; rewritten when it differs from the program's
--   market: the exchange and market all candles belong to, such as binance_spot
--   created_at: when the store was made, UTC
--   published_at: when this read copy was taken, UTC; empty in the store itself
--   published_from: path of the store this read copy was taken from; empty in the store itself
create table if not exists store_info (
    schema_version integer not null,
    market varchar not null,
    created_at timestamp not null,
    published_at timestamp,
    published_from varchar,
)
