-- sort_candles: Keeps the candles of a file in the order of symbol and time.
alter table candles_1m set sorted by (symbol, open_time)
