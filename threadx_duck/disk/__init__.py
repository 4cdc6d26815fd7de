"""Files on disk: locks, files written whole, and temporary files that are swept."""
