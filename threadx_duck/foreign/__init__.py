"""Reads candles that other programs wrote, each question in a room of its own.

`packed` unpacks, `csv_files` and `json_shapes` and `tables` find the columns in a file's bytes, `columns` tells which is
which, `times` and `numbers` read their cells, `names` and `symbols` say whose they are, `archive_signs` of which market.
"""
