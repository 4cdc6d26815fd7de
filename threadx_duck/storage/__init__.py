"""The storage of candles: one DuckDB file, or a lake. All code that talks to DuckDB is here."""
