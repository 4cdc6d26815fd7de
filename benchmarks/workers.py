"""The other side of a comparison, in an environment of its own: reads calls as JSON lines, answers with seconds.

Needs nothing but what a call uses. Each function does its work once; imports and preparation are not timed.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

COLUMNS = {
    "open": "first",
    "high": "max",
    "low": "min",
    "close": "last",
    "volume": "sum",
    "quote_volume": "sum",
    "trade_count": "sum",
    "taker_buy_volume": "sum",
    "taker_buy_quote_volume": "sum",
}


@cache
def _duckdb(path: str) -> Any:
    import duckdb

    connection = duckdb.connect(path, read_only=True)
    connection.execute("set enable_progress_bar = false")
    return connection


def duckdb_rows(path: str, sql: str, arrow: bool = True) -> tuple[float, int]:
    """Returns the rows of a statement as an Arrow table, on an open connection.

    Few rows may come as Python's instead: pyarrow would add its 50 MB to the most memory held.
    """
    connection = _duckdb(path)
    began = time.perf_counter()
    relation = connection.sql(sql)
    rows = relation.to_arrow_table().num_rows if arrow else len(relation.fetchall())
    return time.perf_counter() - began, rows


@cache
def _arctic(folder: str) -> Any:
    import arcticdb

    return arcticdb.Arctic(f"lmdb://{folder}").get_library("minutes", create_if_missing=True)


def arctic_fill(folder: str, symbol: str, parquet: str, daily: bool = False) -> tuple[float, int]:
    """Stores one symbol's minutes at once, or day by day as they would arrive; drops old versions."""
    import pandas as pd

    frame = pd.read_parquet(parquet).set_index("open_time").drop(columns=["symbol"])
    library = _arctic(folder)
    began = time.perf_counter()
    if not daily:
        library.write(symbol, frame)
    for _, day in frame.groupby(frame.index.date) if daily else ():
        if library.has_symbol(symbol):
            library.append(symbol, day, prune_previous_versions=True)
        else:
            library.write(symbol, day)
    return time.perf_counter() - began, len(frame)


def arctic_hours(folder: str, symbol: str) -> tuple[float, int]:
    """One symbol to 1h candles as an Arrow table."""
    from arcticdb import OutputFormat, QueryBuilder

    library = _arctic(folder)
    began = time.perf_counter()
    hourly = QueryBuilder().resample("1h").agg(COLUMNS)
    table = library.read(symbol, query_builder=hourly, output_format=OutputFormat.PYARROW).data
    return time.perf_counter() - began, table.num_rows


def polars_hours(parquet: str) -> tuple[float, int]:
    """One symbol's Parquet file to 1h candles as an Arrow table."""
    import polars as pl

    first = {"first": pl.Expr.first, "last": pl.Expr.last, "max": pl.Expr.max, "min": pl.Expr.min, "sum": pl.Expr.sum}
    began = time.perf_counter()
    aggregates = [first[how](pl.col(name)) for name, how in COLUMNS.items()]
    table = (
        pl.scan_parquet(parquet).sort("open_time").group_by_dynamic("open_time", every="1h").agg(aggregates).collect()
    ).to_arrow()
    return time.perf_counter() - began, table.num_rows


def pandas_hours(feather: str) -> tuple[float, int]:
    """One symbol's feather file to 1h candles as an Arrow table."""
    import pandas as pd
    import pyarrow as pa

    began = time.perf_counter()
    frame = pd.read_feather(feather).set_index("open_time")
    hourly = frame.resample("1h").agg(COLUMNS)
    table = pa.Table.from_pandas(hourly)
    return time.perf_counter() - began, table.num_rows


@cache
def _chdb(folder: str) -> Any:
    from chdb import session

    return session.Session(folder)


_CHDB_TYPES = "symbol LowCardinality(String), open_time DateTime64(6), " + ", ".join(
    f"{name} {'Int64' if name == 'trade_count' else 'Float64'}" for name in COLUMNS
)


def chdb_load(folder: str, parquet: str) -> tuple[float, int]:
    """Loads minutes into a table ordered by symbol and time, once."""
    opened = _chdb(folder)
    opened.query("create database if not exists bench")
    opened.query(
        f"create table if not exists bench.minutes ({_CHDB_TYPES}) engine = MergeTree order by (symbol, open_time)"
    )
    began = time.perf_counter()
    if not int(str(opened.query("select count() from bench.minutes", "CSV"))):
        opened.query(
            f"insert into bench.minutes select symbol, open_time, {', '.join(COLUMNS)} from file('{parquet}', Parquet)"
        )
        opened.query("optimize table bench.minutes final")
    return time.perf_counter() - began, int(str(opened.query("select count() from bench.minutes", "CSV")))


def chdb_hours(folder: str) -> tuple[float, int]:
    """Every symbol to 1h candles as an Arrow table."""
    import pyarrow as pa

    clickhouse = {"first": "argMin({0}, open_time)", "last": "argMax({0}, open_time)"}
    parts = ", ".join(f"{clickhouse.get(how, how + '({0})').format(name)} as {name}_" for name, how in COLUMNS.items())
    opened = _chdb(folder)
    began = time.perf_counter()
    answer = opened.query(
        f"select symbol, toStartOfHour(open_time) as hour, {parts} from bench.minutes group by symbol, hour", "Arrow"
    )
    table = pa.ipc.open_file(pa.py_buffer(answer.bytes())).read_all()
    return time.perf_counter() - began, table.num_rows


def nothing() -> tuple[float, int]:
    """Does nothing; its answer shows the most memory held so far."""
    return 0.0, 0


def folder_size(folder: str) -> tuple[float, int]:
    """Returns the bytes that a folder takes on disk."""
    return 0.0, sum(file.stat().st_blocks * 512 for file in Path(folder).rglob("*") if file.is_file())


def _peak() -> int:
    """Returns the most memory that this process has held, in bytes; 0 if the system does not say."""
    try:
        import resource
    except ImportError:
        return 0
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


FUNCTIONS: dict[str, Callable[..., tuple[float, int]]] = {
    made.__name__: made
    for made in (
        duckdb_rows, arctic_fill, arctic_hours, polars_hours, pandas_hours, chdb_load, chdb_hours, folder_size, nothing,
    )
}  # fmt: skip


def main() -> None:
    """Answers calls until the input ends."""
    # The output of libraries must not come between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        name, arguments = json.loads(line)
        seconds, rows = FUNCTIONS[name](**arguments)
        answers.write(json.dumps({"seconds": seconds, "rows": rows, "peak": _peak()}) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
