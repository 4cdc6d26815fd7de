-- candle_values: Selects the stored values of one symbol's minutes in a range, without the request that brought them.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
--   $start TIMESTAMP: start of the range, UTC
--   $end TIMESTAMP: end of the range, exclusive
-- Returns: open_time and the value columns, in no particular order.
select
    open_time,
    open,
    high,
    low,
    close,
    volume,
    quote_volume,
    trade_count,
    taker_buy_volume,
    taker_buy_quote_volume,
from candles_1m
where symbol = $symbol and open_time >= $start and open_time < $end
