"""Tries the store with the real programs that read it; see `tests.clients.__main__`."""
