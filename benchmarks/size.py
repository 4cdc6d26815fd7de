"""The bytes that a candle takes on disk, with all columns: after one ingest, and after a year of daily ingests.

The peers hold the same candles: feather and Parquet as one file written at the end, ArcticDB appended to as
often as ours. Sizes do not depend on the load of the machine.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
from common import (
    COMMIT_ROWS,
    PEERS,
    START,
    Results,
    Row,
    Worker,
    environment,
    make_minutes,
    make_page,
    months,
    note,
    parser,
    store_at,
    symbols_of,
)  # fmt: skip

from threadx_duck.ledger.append import append_to_store
from threadx_duck.ledger.requests import OpenRequest, make_batches
from threadx_duck.storage.store import Store
from threadx_duck.upkeep.compact import compact


def main() -> None:
    """Measures, prints the table, writes the JSON."""
    options = parser(__doc__ or "")
    options.add_argument("--symbols", type=int, default=20, help="symbols, a year of each (20)")
    options.add_argument("--days", type=int, default=365, help="days of each (365)")
    options.add_argument("--peers", type=Path, help="a Python that has ArcticDB and pandas; else one is made")
    options.add_argument("--without-peers", action="store_true", help="measure only what needs no other environment")
    chosen = options.parse_args()
    results = Results("size", vars(chosen))
    folder = chosen.data / f"size-{chosen.symbols}-{chosen.days}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    minutes = {symbol: make_minutes(symbol, chosen.days * 1440) for symbol in symbols_of(chosen.symbols)}
    candles = pa.concat_tables(minutes.values())
    pq.write_table(candles, folder / "all.parquet", compression="zstd")
    feather.write_feather(candles, folder / "all.feather", compression="lz4")
    bytes_of = {name: (folder / f"all.{name}").stat().st_size for name in ("parquet", "feather")}
    sides = {
        "one ingest": ingest_at_once(folder / "once.duckdb", minutes, chosen.days),
        "a year of daily ingests": ingest_daily(folder / "daily.duckdb", minutes, chosen.days),
    }
    arctic = {} if chosen.without_peers else arctic_sizes(chosen, folder, minutes)
    for when, size in sides.items():
        work = f"bytes per candle after {when}"
        for against, theirs, target in (
            ("feather lz4", bytes_of["feather"], 0.6),
            ("ArcticDB", arctic.get(when), 0.6),
            ("Parquet zstd", bytes_of["parquet"], 0.8),
        ):
            if theirs:
                count = candles.num_rows
                results.add(Row(work, against, size / count, theirs / count, target, unit="B"))
    compacted = compact(store_at(folder / "daily.duckdb")).bytes_after
    sizes = [size / candles.num_rows for size in (compacted, bytes_of["parquet"])]
    results.add(Row("bytes per candle after a year of daily ingests, compacted", "Parquet zstd", *sizes, 0.8, unit="B"))
    results.finish(chosen.json)


def ingest_at_once(path: Path, minutes: dict[str, pa.Table], days: int) -> int:
    """Returns the size of a store filled by one ingest of monthly files."""
    store, waiting, rows = store_at(path), [], 0
    for symbol, candles in minutes.items():
        for part, first, last in months(candles, START, START + timedelta(days=days)):
            waiting.append(OpenRequest(make_page(symbol, part, first, last)))
            rows += part.num_rows
            if rows >= COMMIT_ROWS:
                append_to_store(store, make_batches(waiting))
                waiting, rows = [], 0
    if waiting:
        append_to_store(store, make_batches(waiting))
    describe(path)
    return path.stat().st_size


def ingest_daily(path: Path, minutes: dict[str, pa.Table], days: int) -> int:
    """Returns the size of a store filled by one ingest per day."""
    store = store_at(path)
    for day, parts in by_day(minutes, days):
        append_day(store, day, parts)
    describe(path)
    return path.stat().st_size


def by_day(minutes: dict[str, pa.Table], days: int) -> Iterator[tuple[datetime, dict[str, pa.Table]]]:
    """Yields each day with its candles by symbol."""
    opened = {
        symbol: table["open_time"].combine_chunks().cast(pa.int64()).to_numpy() for symbol, table in minutes.items()
    }
    first = opened[next(iter(opened))][0] // 86_400_000_000
    for number in range(days):
        bounds = [(first + number) * 86_400_000_000, (first + number + 1) * 86_400_000_000]
        cuts = {symbol: times.searchsorted(bounds) for symbol, times in opened.items()}
        day = START + timedelta(days=number)
        yield (
            day,
            {
                symbol: table.slice(cuts[symbol][0], cuts[symbol][1] - cuts[symbol][0])
                for symbol, table in minutes.items()
            },
        )


def append_day(store: Store, day: datetime, parts: dict[str, pa.Table]) -> None:
    """Appends one day of every symbol in one commit, as a nightly ingest does."""
    pages = [make_page(symbol, part, day, day + timedelta(days=1), "rest") for symbol, part in parts.items()]
    append_to_store(store, make_batches([OpenRequest(page) for page in pages]))


def describe(path: Path) -> None:
    """Reports how much of a file is free."""
    with duckdb.connect(str(path), read_only=True) as connection:
        sql = "select total_blocks, used_blocks, free_blocks from pragma_database_size()"
        ((total, used, free),) = connection.sql(sql).fetchall()
    note(f"{path.name}: {total} blocks, {used} used, {free} free")


def arctic_sizes(chosen: argparse.Namespace, folder: Path, minutes: dict[str, pa.Table]) -> dict[str, int]:
    """Returns the sizes of ArcticDB on disk: written at once, and appended to daily."""
    sizes = {}
    with Worker(environment(chosen.peers, chosen.data, "peers", PEERS)) as peers:
        for when, daily in (("one ingest", False), ("a year of daily ingests", True)):
            place = folder / f"arctic-{json.dumps(daily)}"
            place.mkdir()
            for symbol, candles in minutes.items():
                file = folder / "part.parquet"
                pq.write_table(candles, file)
                peers.call("arctic_fill", folder=str(place), symbol=symbol, parquet=str(file), daily=daily)
            sizes[when] = int(peers.call("folder_size", folder=str(place))["rows"])
    return sizes


if __name__ == "__main__":
    main()
