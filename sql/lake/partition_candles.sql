-- partition_candles: Keeps the candles of each symbol and month in files of their own.
alter table candles_1m set partitioned by (symbol, year(open_time), month(open_time))
