"""Reads candles that other programs wrote.

`csv_files`, `json_shapes` and `tables` find the columns in a file's bytes; `columns` finds the role of each column;
`times` and `numbers` read the cells; `names` finds the symbol and `archive_signs` the market; `reading` uses them all.
"""
