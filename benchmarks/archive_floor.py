"""Unzip, parse and append alone, files in memory: URL SYMBOL START END FOLDER. Prints the seconds of each as JSON."""

import json
import sys
import time
import urllib.request
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from threadx_duck.archive.names import ArchiveFile
from threadx_duck.archive.rows import read_kline_csv
from threadx_duck.archive.source import to_page
from threadx_duck.archive.unzip import open_plain, open_zip
from threadx_duck.candles.klines import in_time_order
from threadx_duck.candles.ranges import TimeRange, month_of, split_ranges
from threadx_duck.config import get_settings
from threadx_duck.ledger.append import append_to_store
from threadx_duck.ledger.requests import Buffer, make_batches
from threadx_duck.storage.store import Store

url, symbol, start, end, folder = sys.argv[1:]
year = TimeRange(datetime.fromisoformat(start), datetime.fromisoformat(end))
files = [ArchiveFile("archive_monthly", symbol, month.start) for month in split_ranges([year], month_of)]
bodies = [urllib.request.urlopen(f"{url}/{file.key}").read() for file in files]
store = Store(replace(get_settings().store, database=Path(folder) / "floor.duckdb"))
with store.writing():
    pass

seconds: dict[str, float] = {}
began = time.perf_counter()


def lap(name: str) -> None:
    """Notes the time since the last lap."""
    global began
    now = time.perf_counter()
    seconds[name], began = now - began, now


contents = [open_zip(body, "a file")().read() for body in bodies]
lap("unzip")
klines = [read_kline_csv(symbol, open_plain(content), "a file") for content in contents]
lap("parse and check")
buffer = Buffer()
for file, read in zip(files, klines, strict=True):
    candles = read._replace(candles=in_time_order(read.candles, file.name))
    buffer.add(to_page(file, candles, "0" * 64, file.key, year.end, 0.0))
append_to_store(store, make_batches(buffer.requests))
lap("append")
sys.stdout.write(json.dumps(seconds) + "\n")
