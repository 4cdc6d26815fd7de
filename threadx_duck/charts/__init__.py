"""Pages for the browser that work offline from one file: candles, and what is stored."""
