"""Widgets that know nothing of candles, and the colours of all."""
