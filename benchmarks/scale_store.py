"""One process of scale.py: grows a store, or runs one query on it; prints the time and memory as one line of JSON."""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
from scale_data import commits

from threadx_duck.audit.checks import run_checks
from threadx_duck.config import get_settings
from threadx_duck.ingest import IngestionManager
from threadx_duck.ledger.append import append_to_store
from threadx_duck.ledger.requests import make_batches
from threadx_duck.upkeep.compact import compact


def grow(manager: IngestionManager, *, walks: str, first: int, last: int, days: int) -> dict[str, Any]:
    """Appends the symbols with some numbers as an ingest does; times only the append."""
    rates, rows, seconds = [], 0, 0.0
    for buffer in commits(Path(walks), first, last, days):
        began = time.perf_counter()
        added = sum(row.rows_added for row in append_to_store(manager.store, make_batches(buffer.requests)))
        took = time.perf_counter() - began
        rates.append(added / took)
        rows += added
        seconds += took
    return {"rows": rows, "seconds": seconds, "commits": len(rates), "median_rate": statistics.median(rates)}


def fetch(manager: IngestionManager, *, symbols: list[str], start: str, end: str) -> dict[str, Any]:
    """Ingests symbols that are not stored yet."""
    results = manager.update_assets_batch(symbols, start, end)
    assert {result.status for result in results.values()} == {"ok"}
    return {"rows": sum(result.rows_added for result in results.values())}


def state(manager: IngestionManager) -> dict[str, Any]:
    """Returns the number of files that hold the store, and their bytes."""
    store = manager.store
    files, size = store.files()
    return {"files": files, "bytes": size, "rows": sum(manager.overview()["candles"].to_pylist())}


def status(manager: IngestionManager) -> dict[str, Any]:
    """Reads the same as ``threadx status``."""
    return {"rows": manager.store.query("read/status", symbols=[]).num_rows}


def year(manager: IngestionManager, *, symbol: str, start: str, end: str) -> dict[str, Any]:
    """Reads one symbol's 1h candles of a year, as ``threadx candles`` does."""
    return {"rows": manager.candles(symbol, "1h", start, end).num_rows}


def day(manager: IngestionManager, *, start: str, end: str) -> dict[str, Any]:
    """Reads all symbols' 1h candles of one day, as ``threadx query`` does."""
    statement = f"from candles(null, '1 hour', '{start}', '{end}')"
    return {"rows": manager.store.query_user_sql(statement).num_rows}


def gaps(manager: IngestionManager, *, symbols: list[str]) -> dict[str, Any]:
    """Reads the gaps of some or all symbols, with reasons."""
    return {"rows": manager.gaps(symbols).num_rows}


def ingest(manager: IngestionManager, *, end: str) -> dict[str, Any]:
    """Ingests all symbols, which finds nothing to do."""
    results = manager.update_assets_batch(end_date=end)
    assert {result.status for result in results.values()} == {"up_to_date"}
    return {"rows": len(results)}


def check(manager: IngestionManager) -> dict[str, Any]:
    """Runs every check."""
    findings = run_checks(manager.store)
    assert not any(finding.rows.num_rows for finding in findings), findings
    return {"rows": len(findings)}


def compaction(manager: IngestionManager) -> dict[str, Any]:
    """Runs ``threadx compact``."""
    compact(manager.store)
    return {"rows": 0}


def export(manager: IngestionManager, *, folder: str) -> dict[str, Any]:
    """Exports every candle as Parquet, in files by symbol and month."""
    files = manager.export(folder, "parquet", partition=True)
    size = sum(path.stat().st_size for path in Path(folder).rglob("*.parquet"))
    shutil.rmtree(folder)
    return {"rows": len(files), "bytes": size}


def _peak() -> int:
    """Returns the peak memory of this process in bytes. The value of getrusage would include the parent process."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


FUNCTIONS: dict[str, Callable[..., dict[str, Any]]] = {
    made.__name__: made for made in (grow, fetch, state, status, year, day, gaps, ingest, check, compaction, export)
}


def main() -> None:
    """Runs the task that the command line names, timed from opening the store to the last row."""
    settings, name, arguments = sys.argv[1:]
    began = time.perf_counter()
    with IngestionManager(get_settings(settings)) as manager:
        answer = FUNCTIONS[name](manager, **json.loads(arguments))
    seconds = time.perf_counter() - began
    answer = {"seconds": seconds, "peak": _peak(), "duckdb": duckdb.__version__} | answer
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
