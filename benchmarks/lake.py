"""A lake against a file: the time of appends and reads, and the size, with one process and with two at once.

Needs PostgreSQL's programs and ``pip install 'threadx_duck[lake]'``; starts a server of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from common import HERE, START, Results, Row, best_of, make_minutes, make_page, months, parser, symbols_of, timed

from threadx_duck.candles.times import MINUTE
from threadx_duck.config import StoreSettings, with_database
from threadx_duck.config.address import LakeAddress
from threadx_duck.ledger.append import append_to_store
from threadx_duck.ledger.requests import Buffer, make_batches
from threadx_duck.storage.store import Store

WORKER = "--worker"


def main() -> None:
    """Measures, prints the table, writes the JSON."""
    if sys.argv[1:2] == [WORKER]:
        work(*sys.argv[2:])
        return
    options = parser(__doc__ or "", rounds=3)
    options.add_argument("--symbols", type=int, default=4, help="how many symbols each process appends (4)")
    options.add_argument("--days", type=int, default=365, help="days of each symbol (365)")
    chosen = options.parse_args()
    sys.path.insert(0, str(HERE.parent))
    from tests.lake.server import Server, find_programs

    programs = find_programs()
    if programs is None:
        raise SystemExit("PostgreSQL is not installed: apt-get install postgresql")
    results = Results("lake", vars(chosen))
    names = symbols_of(2 * chosen.symbols)
    first, second = names[: chosen.symbols], names[chosen.symbols :]
    with tempfile.TemporaryDirectory() as folder:
        server = Server(programs)
        try:
            for work_done, shares in {
                "append, one process": [first],
                "append, two processes, other symbols": [first, second],
                "append, two processes, the same symbols": [first, first],
            }.items():
                place = Path(folder) / work_done.replace(" ", "-")
                lake, file = [server.make_database(), str(place / "lake")], [str(place / "file.duckdb"), ""]
                ours, theirs = append(lake, shares, chosen.days), append(file, shares, chosen.days)
                results.add(Row(work_done, "file", ours, theirs, None, "s"))
                expected = len({symbol for share in shares for symbol in share}) * chosen.days * 1440
                for target in (lake, file):
                    assert count(store_of(*target)) == expected
            stores = [store_of(*lake), store_of(*file)]
            compare_reads(results, stores, first[0], chosen.rounds)
        finally:
            server.close()
    results.finish(chosen.json)


def compare_reads(results: Results, stores: Sequence[Store], symbol: str, rounds: int) -> None:
    """Compares reads on stores of equal content, the lake first."""
    span = {"symbol": symbol, "start": START, "end": START.replace(year=START.year + 1)}
    reads = {
        "status": ("read/status", {"symbols": []}),
        "gaps": ("read/gaps", {"symbols": [], "start": START, "end": span["end"]}),
        "1h of one symbol": ("read/candles", {"width": "1 hour", **span}),
    }
    for name, (file, parameters) in reads.items():
        sides = {
            side: lambda store=store, file=file, parameters=parameters: timed(lambda: store.query(file, **parameters))
            for side, store in zip(("lake", "file"), stores, strict=True)
        }
        best = best_of(rounds, **sides)
        results.add(Row(name, "file", 1000 * best["lake"], 1000 * best["file"], None))
    results.add(Row("bytes", "file", stores[0].bytes / 1e6, stores[1].bytes / 1e6, None, "MB"))


def store_of(text: str, data_path: str) -> Store:
    """Returns the store at an address; the data path is for a lake."""
    settings = with_database(StoreSettings(), text)
    if isinstance(settings.database, LakeAddress):
        settings = replace(settings, database=replace(settings.database, data_path=data_path))
    return Store(settings)


def count(store: Store) -> int:
    """Returns the number of candles; fails if one is stored twice."""
    statement = "select count(*) as stored, count(distinct (symbol, open_time)) as different from candles_1m"
    row = store.query_user_sql(statement).to_pylist()[0]
    assert row["stored"] == row["different"], row
    return int(row["stored"])


def append(target: Sequence[str], shares: Sequence[Sequence[str]], days: int) -> float:
    """Returns the seconds until all processes have appended their share; they start together."""
    store_of(*target).make()
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, WORKER, json.dumps([*target, share, days])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for share in shares
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    began = time.perf_counter()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        assert process.wait() == 0
    return time.perf_counter() - began


def work(task: str) -> None:
    """Runs one process: prepares its candles, waits for the start, appends one symbol at a time."""
    text, data_path, symbols, days = json.loads(task)
    end = START + days * 1440 * MINUTE
    batches = []
    for symbol in symbols:
        buffer = Buffer()
        for part, first, last in months(make_minutes(symbol, days * 1440, whole=True), START, end):
            buffer.add(make_page(symbol, part, first, last))
        batches.append(make_batches(buffer.requests))
    store = store_of(text, data_path)
    # A process loads DuckDB's extensions once; this half second is no part of an append.
    assert store.exists
    print("ready", flush=True)  # noqa: T201
    sys.stdin.readline()
    for batch in batches:
        append_to_store(store, batch)


if __name__ == "__main__":
    main()
