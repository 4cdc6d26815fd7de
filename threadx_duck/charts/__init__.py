"""HTML pages, each one file that works offline: a chart of candles, and a map of what is stored."""
