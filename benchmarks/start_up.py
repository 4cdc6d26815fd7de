"""Start-up: the time of commands with nothing to do, against bare imports. Measures whole processes, in turns."""

from __future__ import annotations

import argparse
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

from common import (
    START,
    Results,
    Row,
    best_of,
    make_minutes,
    make_page,
    note,
    parser,
    store_at,
    symbols_of,
    timed,
)

from threadx_duck.ledger.append import append_to_store
from threadx_duck.ledger.requests import OpenRequest, make_batches


def main() -> None:
    """Measures, prints the table, writes the JSON."""
    options = parser(__doc__ or "", rounds=15)
    options.add_argument("--symbols", type=int, default=500, help="covered symbols in the store (500)")
    options.add_argument("--days", type=int, default=30, help="days of each (30)")
    chosen = options.parse_args()
    results = Results("start_up", vars(chosen))
    path = covered_store(chosen)
    end = (START + timedelta(days=chosen.days - 1)).strftime("%Y-%m-%d")
    settings = path.with_suffix(".toml")
    settings.write_text(
        '[data.api]\nbase_url = "http://127.0.0.1:9"\n[data.archive]\nbase_url = "http://127.0.0.1:9"\n'
    )
    threadx = [sys.executable, "-m", "threadx_duck"]
    best = best_of(
        chosen.rounds,
        ingest=lambda: _run(*threadx, "--config", settings, "--db", path, "--quiet", "ingest", "--end", end),
        duckdb=lambda: _run(sys.executable, "-c", "import duckdb"),
        help=lambda: _run(*threadx, "--help"),
        imports=lambda: _run(sys.executable, "-c", "import click, duckdb"),
    )
    work = f"ingest of {chosen.symbols} covered symbols"
    results.add(Row(work, "import duckdb", best["ingest"] * 1e3, best["duckdb"] * 1e3, 3))
    results.add(Row("threadx --help", "import click, duckdb", best["help"] * 1e3, best["imports"] * 1e3, 0.8))
    results.finish(chosen.json)


def covered_store(chosen: argparse.Namespace) -> Path:
    """Returns a store of many symbols, each covered by one request."""
    path: Path = chosen.data / f"covered-{chosen.symbols}-{chosen.days}.duckdb"
    if path.exists():
        return path
    note(f"making {path.name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    end: datetime = START + timedelta(days=chosen.days)
    candles = make_minutes("BTCUSDC", chosen.days * 1440, whole=True)
    store, requests = store_at(unfinished), []
    index = candles.schema.get_field_index("symbol")
    for symbol in symbols_of(chosen.symbols):
        own = candles.set_column(index, "symbol", [[symbol] * candles.num_rows])
        requests.append(OpenRequest(make_page(symbol, own, START, end)))
        if len(requests) * candles.num_rows > 500_000:
            append_to_store(store, make_batches(requests))
            requests = []
    append_to_store(store, make_batches(requests))
    unfinished.rename(path)
    return path


def _run(*command: object) -> float:
    return timed(lambda: subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL))


if __name__ == "__main__":
    main()
