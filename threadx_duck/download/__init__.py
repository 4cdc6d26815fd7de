"""Makes ranges of candles conclusive: finds missing minutes, plans the requests, fetches and stores the answers."""
