"""What proves the store: checks, comparison with the exchange, fingerprints, lineage."""
