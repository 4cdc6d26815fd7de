"""The exchange's bulk archive: names, files, checksums and rows."""
