"""The data of scale.py: made-up candles, hundreds of millions at low cost, and an archive on loopback."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from common import make_minutes, make_page, symbols_of

from threadx_duck.candles.klines import CANDLE_SCHEMA
from threadx_duck.candles.ranges import month_of
from threadx_duck.ledger.page import Page
from threadx_duck.ledger.requests import COMMIT_ROWS, Buffer

START = datetime(2023, 1, 1)

_WALKS = 12
_BLOCK_DAYS = 31
_MORE_BLOCKS = 12

# The default number of symbols that an ingest downloads at once.
_AT_ONCE = 5

_LATENCY = 0.08


def make_walks(folder: Path, symbols: int, days: int) -> None:
    """Random walks of different assets, cut into blocks of a month whose times begin at nought.

    A store of hundreds of millions is made of these, each symbol and month of another block. DuckDB and Parquet
    compress some 100,000 candles at a time, so that they gain nothing from a block that comes again elsewhere.
    """
    folder.mkdir(parents=True)
    width = min(_BLOCK_DAYS, days)
    blocks = -(-days // width) + _MORE_BLOCKS
    for number, symbol in enumerate(symbols_of(min(_WALKS, symbols))):
        walk = make_minutes(symbol, blocks * width * 1440, start=START).drop_columns("symbol")
        column = walk.schema.get_field_index("open_time")
        since = pc.subtract(walk["open_time"], pa.scalar(START, pa.timestamp("us")))
        block = pc.divide(since.cast(pa.int64()), width * 86_400_000_000)
        schema = walk.schema.set(column, pa.field("open_time", pa.duration("us")))
        with pa.OSFile(str(folder / f"{number:02}.arrow"), "wb") as file, pa.ipc.new_file(file, schema) as writer:
            for index in range(blocks):
                times = pc.subtract(since, pa.scalar(timedelta(days=index * width), pa.duration("us")))
                part = walk.set_column(column, "open_time", times).filter(pc.equal(block, index)).combine_chunks()
                writer.write_table(part, max_chunksize=len(part))


def commits(walks: Path, first: int, last: int, days: int) -> Iterator[Buffer]:
    """Yields the candles of the symbols with some numbers, in the batches that an ingest commits."""
    buffer = Buffer()
    for page in _pages(walks, first, last, START + timedelta(days=days)):
        buffer.add(page)
        if buffer.rows >= COMMIT_ROWS:
            yield buffer
            buffer = Buffer()
    if buffer.requests:
        yield buffer


def _pages(walks: Path, first: int, last: int, end: datetime) -> Iterator[Page]:
    """Yields each month of each symbol, some symbols side by side."""
    files, symbols = sorted(walks.glob("*.arrow")), symbols_of(last)
    for lowest in range(first, last, _AT_ONCE):
        group = range(lowest, min(last, lowest + _AT_ONCE))
        opened = [(number, symbols[number], pa.OSFile(str(files[number % len(files)]))) for number in group]
        start = START
        while start < end:
            until = min(end, month_of(start).end)
            for number, symbol, file in opened:
                yield make_page(symbol, _month(file, number, symbol, start, until), start, until)
            start = until


def _month(file: pa.OSFile, number: int, symbol: str, start: datetime, until: datetime) -> pa.Table:
    """A month cut from some block of a walk; two symbols of one walk seldom take the same block at once."""
    reader = pa.ipc.open_file(file)
    month = start.year * 12 + start.month
    block = pa.Table.from_batches([reader.get_batch((month + number * 7) % reader.num_record_batches)])
    block = block.filter(pc.less(block["open_time"], pa.scalar(until - start)))
    times = pc.add(block["open_time"], pa.scalar(start))
    block = block.set_column(block.schema.get_field_index("open_time"), "open_time", times)
    block = block.append_column("symbol", pa.repeat(pa.scalar(symbol), len(block)))
    return block.select(CANDLE_SCHEMA.names).cast(CANDLE_SCHEMA)


@contextmanager
def archive(symbols: Sequence[str], days: int) -> Iterator[str]:
    """Starts a loopback exchange with some days of some symbols, in its own process, and yields its address."""
    end = START + timedelta(days=days)
    command = [sys.executable, "-m", "threadx_duck.simulator", "--symbols", ",".join(symbols), "--days", str(days)]
    command += ["--end", f"{end:%Y-%m-%dT%H:%M}", "--now", f"{end + timedelta(days=40):%Y-%m-%dT%H:%M}"]
    command += ["--latency", str(_LATENCY), "--prepare-archive"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()
