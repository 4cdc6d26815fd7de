"""Candles as Arrow tables, and the words of time: minutes, ranges, timeframes."""
