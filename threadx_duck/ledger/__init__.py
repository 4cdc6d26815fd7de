"""The evidence: answers become requests with their candles, and are appended, sorted and removed."""
