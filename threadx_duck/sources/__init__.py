"""Where candles come from. Each source turns answers into Arrow tables with their evidence."""
