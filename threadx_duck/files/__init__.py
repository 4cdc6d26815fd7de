"""Files on disk that candles come from and go to: import and export."""
