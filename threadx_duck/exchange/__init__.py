"""The exchange over REST: its markets, its symbols, its limits and its answers."""
