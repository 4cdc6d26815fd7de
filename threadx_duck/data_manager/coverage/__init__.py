"""The coverage map: symbols by months or days, drawn on a canvas."""
