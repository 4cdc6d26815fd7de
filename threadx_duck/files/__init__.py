"""Imports candles from files on disk and exports them to files."""
