"""An embedded DuckDB store of Binance 1-minute candles; every higher timeframe is a SQL view."""
