"""Access to the exchange over REST: its markets, symbols, limits and answers."""
