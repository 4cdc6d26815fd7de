"""Growth: append, status and a query of one symbol on stores ten and a hundred times as large. Draws the curves.

Flat or better than linear is the target: ten times the candles may take at most ten times as long.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from common import (
    HERE,
    START,
    Results,
    Row,
    best_of,
    connect,
    environment,
    make_minutes,
    make_page,
    make_store,
    parser,
    store_at,
    timed,
)  # fmt: skip

from threadx_duck.ledger.append import append_to_store
from threadx_duck.ledger.requests import OpenRequest, make_batches
from threadx_duck.storage.sqlfiles import read_sql

PLOTTING = ("matplotlib>=3.9",)
WORK = {
    "append": "append of a symbol-month, per candle",
    "status": "status",
    "query": "1h of one symbol-month",
}


def main() -> None:
    """Measures, prints the table, writes the JSON and the picture."""
    options = parser(__doc__ or "", rounds=5)
    options.add_argument(
        "--sizes", default="1e6,10e6,100e6", help="candles of each store, with commas between (1e6,10e6,100e6)"
    )
    options.add_argument("--plotting", type=Path, help="a Python that has matplotlib; else one is made")
    options.add_argument("--picture", type=Path, default=HERE / "growth.svg", help="file for the picture")
    options.add_argument(
        "--without-peers", action="store_true", help="draw no picture, which needs another environment"
    )
    chosen = options.parse_args()
    results = Results("growth", vars(chosen))
    sizes = sorted(int(float(size)) for size in chosen.sizes.split(","))
    seconds = {size: measure(chosen, size) for size in sizes}
    for smaller, larger in pairwise(sizes):
        for name, work in WORK.items():
            unit, scale = ("µs", 1e6) if name == "append" else ("ms", 1e3)
            row = Row(
                f"{work}, {larger / 1e6:g} M", f"{smaller / 1e6:g} M",
                seconds[larger][name] * scale, seconds[smaller][name] * scale, larger / smaller, unit=unit,
            )  # fmt: skip
            results.add(row)
    results.finish(chosen.json)
    if not chosen.without_peers:
        draw(chosen, {name: [[size, seconds[size][name]] for size in sizes] for name in WORK})


def measure(chosen: argparse.Namespace, size: int) -> dict[str, float]:
    """Returns the seconds of each task on a store of this size; the append writes to a copy."""
    path = make_store(chosen.data, size)
    until = START + timedelta(days=31)
    status = read_sql("read/status").statement
    query = f"from candles_1h where symbol = 'BTCUSDC' and open_time >= '{START}' and open_time < '{until}'"
    with connect(path) as connection:
        best = best_of(
            chosen.rounds,
            status=lambda: timed(lambda: connection.sql(status, params={"symbols": []}).to_arrow_table()),
            query=lambda: timed(lambda: connection.sql(query).to_arrow_table()),
        )
    with tempfile.TemporaryDirectory(dir=chosen.data) as folder:
        copy = Path(shutil.copyfile(path, Path(folder) / "copy.duckdb"))
        best["append"] = min(append(copy, number) for number in range(chosen.rounds))
    return best


def append(path: Path, number: int) -> float:
    """Returns the seconds per candle of appending a new symbol's month, including opening and closing the store."""
    symbol, days = f"Z{number:03}USDC", 31
    candles = make_minutes(symbol, days * 1440)
    page = make_page(symbol, candles, START, START + timedelta(days=days))
    return timed(lambda: append_to_store(store_at(path), make_batches([OpenRequest(page)]))) / candles.num_rows


def draw(chosen: argparse.Namespace, points: dict[str, list[list[float]]]) -> None:
    """Draws the curves, in an environment of its own."""
    python = environment(chosen.plotting, chosen.data, "plotting", PLOTTING)
    curves: list[dict[str, Any]] = [
        {"name": WORK[name], "points": [[size, seconds / curve[0][1]] for size, seconds in curve]}
        for name, curve in points.items()
    ]
    sizes = [size for size, _ in next(iter(points.values()))]
    linear = [[size, size / sizes[0]] for size in sizes]
    curves.append({"name": "linear", "points": linear, "style": ":", "colour": "grey", "marker": ""})
    panel = {"x": "candles in the store", "y": f"time, relative to {sizes[0]:,} candles", "curves": curves}
    command = [str(python), str(HERE / "draw.py"), str(chosen.picture)]
    subprocess.run(command, input=json.dumps([panel]), text=True, check=True)


if __name__ == "__main__":
    main()
