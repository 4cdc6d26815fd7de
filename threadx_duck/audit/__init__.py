"""Proves the content of the store: checks, comparison with the exchange, fingerprints, lineage."""
