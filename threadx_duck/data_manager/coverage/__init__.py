"""The coverage map, drawn on a canvas: one row per symbol, one column per month or day."""
