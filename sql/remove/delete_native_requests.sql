-- delete_native_requests: Deletes the ledger rows of the exchange's own candles of higher timeframes of a symbol.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
delete from requests
where symbol = $symbol and timeframe <> '1m'
