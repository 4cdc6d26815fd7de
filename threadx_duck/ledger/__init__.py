"""The evidence for candles: turns answers into requests with their candles; appends, sorts and removes them."""
