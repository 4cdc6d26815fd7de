"""Candles as Arrow tables, and their times: minutes, ranges, timeframes."""
