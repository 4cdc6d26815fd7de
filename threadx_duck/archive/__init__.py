"""Access to the exchange's bulk archive: its names, files, checksums and rows."""
