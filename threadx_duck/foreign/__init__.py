"""Reads candles that other programs wrote, each question in a room of its own.

`csv_files`, `json_shapes` and `tables` find the columns in a file's bytes, `columns` tells which is which, `times` and
`numbers` read their cells, `names` says whose they are, `archive_signs` of which market; `reading` asks them all.
"""
