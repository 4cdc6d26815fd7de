"""Widgets that know nothing of candles, and the colours of the whole page."""
