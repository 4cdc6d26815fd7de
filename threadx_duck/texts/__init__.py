"""Makes texts from outside safe: typed symbols, addresses, and everything that is printed."""
