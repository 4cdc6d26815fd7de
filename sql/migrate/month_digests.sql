-- month_digests: What is stored of each symbol and month, and a number that is equal for equal candles and requests.
-- The number holds for one version of DuckDB: it compares two stores at one time, and is kept nowhere.
-- Returns: symbol, month, last_open_time, candles, digest; sorted by symbol and month.
select
    symbol,
    date_trunc('month', open_time)::timestamp as month,
    max(open_time) as last_open_time,
    count(*) as candles,
    sum(hash(candle)) as digest,
from candles_1m as candle
group by symbol, date_trunc('month', open_time)
order by symbol, month
