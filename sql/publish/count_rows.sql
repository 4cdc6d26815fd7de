-- count_rows: Counts the rows of each table of a store.
-- Returns: table_name, row_count; in order.
select 'candles_1m' as table_name, count(*) as row_count from candles_1m
union all
select 'native_candles', count(*) from native_candles
union all
select 'rejected_rows', count(*) from rejected_rows
union all
select 'requests', count(*) from requests
union all
select 'revisions', count(*) from revisions
order by all
