-- month_digests: Counts the candles per symbol and month, with a number that is equal for equal candles and requests.
-- The number is valid only within one DuckDB version: it compares two stores at one time and is never stored.
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
