"""Where candles lie: one DuckDB file, or a lake; everything that talks to DuckDB."""
