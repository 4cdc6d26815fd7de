"""Scale: one file and one lake, grown from a million minutes to hundreds of millions, and what everything takes then.

It compares nothing: the curves show what stays flat and what grows with the store. The catalog of the lake is a
PostgreSQL database that this script starts; without PostgreSQL it leaves the lake out.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from math import ceil
from pathlib import Path
from typing import Any

from common import HERE, environment, machine, note, parser, symbols_of
from growth import PLOTTING
from rich import box
from rich.console import Console
from rich.table import Table
from scale_data import START, archive, make_walks

sys.path.insert(0, str(HERE.parent))
from tests.lake.server import Server, find_programs

# Two years: about what the exchange's symbols have on average.
DAYS = 731

# The most bytes per candle to expect, and the bytes that must stay free on the disk.
_BYTES = 60
_RESERVE = 5e9

# The size of the new file, and of what sorting spills, as multiples of the old one.
_COMPACTION = 4

# A query that takes more seconds than this runs only once.
_LONG = 20.0

QUERIES = {
    "status": "status",
    "year": "1h of one symbol-year",
    "day": "one day of all symbols at 1h",
    "gaps_one": "gaps of one symbol",
    "gaps": "gaps of all symbols",
    "ingest": "ingest with nothing to do",
    "check": "all checks",
}


@dataclass
class Point:
    """A store at one size, in bytes, seconds and candles per second; ``median_rate`` is the median over commits."""

    store: str
    duckdb: str
    candles: int
    symbols: int
    files: int
    bytes: int
    catalog_bytes: int
    rate: float
    median_rate: float
    append_peak: int
    queries: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass
class Measured:
    """A store that grows, and the process that measures it."""

    name: str
    python: Path | str
    settings: Path
    server: Server | None = None
    address: str = ""

    def call(self, function: str, **arguments: Any) -> dict[str, Any]:
        """Returns the result of a function of ``scale_store.py``, run in its own process."""
        command = [str(self.python), str(HERE / "scale_store.py"), str(self.settings), function, json.dumps(arguments)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def best(self, rounds: int, function: str, **arguments: Any) -> dict[str, float]:
        """Returns the best of some calls: seconds, and peak memory of the process."""
        best: dict[str, Any] = {}
        for _ in range(rounds):
            answer = self.call(function, **arguments)
            best = min(best or answer, answer, key=lambda one: one["seconds"])
            if answer["seconds"] > _LONG:
                break
        return {"seconds": round(best["seconds"], 4), "peak": best["peak"], "rows": best["rows"]}

    def catalog(self) -> int:
        """Returns the bytes of the PostgreSQL database; 0 for a file."""
        if self.server is None:
            return 0
        (name,) = [part[len("dbname=") :] for part in self.address.split() if part.startswith("dbname=")]
        return int(self.server.ask(f"select pg_database_size('{name}')"))


class Run:
    """All that one run measures; written after each size, so that nothing is lost if it ends early."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        self._chosen = chosen
        self._folder: Path = chosen.data / "scale"
        self._began = machine()
        self.points: list[Point] = []
        self.once: list[dict[str, Any]] = []

    def measure(self, sizes: list[int]) -> None:
        """Yields both stores, one after the other, and deletes their contents."""
        shutil.rmtree(self._folder, ignore_errors=True)
        make_walks(self._folder / "walks", self._symbols(sizes[-1]), self._chosen.days)
        self._grow(self._file(), sizes)
        with ExitStack() as stack:
            lake = None if self._chosen.without_lake else self._lake(stack)
            if lake is not None:
                self._grow(lake, sizes)
        shutil.rmtree(self._folder)

    def _fetch(self, store: Measured) -> None:
        """An ingest of some symbols from an archive on loopback, into a store of its own."""
        folder, symbols, days = self._folder / "fetched", symbols_of(self._chosen.fetched), self._chosen.fetched_days
        with archive(symbols, days) as url:
            settings = self._settings(folder, self._place(folder, store.server), url)
            last = START + timedelta(days=days - 1)
            other = replace(store, settings=settings)
            self._once(other, "fetch", symbols=symbols, start=f"{START:%Y-%m-%d}", end=f"{last:%Y-%m-%d}")
        shutil.rmtree(folder)

    def _symbols(self, size: int) -> int:
        # Outages take some minutes of each.
        return ceil(1.001 * size / (self._chosen.days * 1440))

    def _file(self) -> Measured:
        folder = self._folder / "file"
        return Measured("file", sys.executable, self._settings(folder, self._place(folder)))

    def _lake(self, stack: ExitStack) -> Measured | None:
        programs = find_programs()
        if programs is None:
            note("The lake is left out: PostgreSQL is not installed (apt-get install postgresql).")
            return None
        requirements = ("--editable", f"{HERE.parent}[lake]")
        try:
            python = environment(self._chosen.lake_python, self._chosen.data, "lake", requirements)
        except subprocess.CalledProcessError:
            note("The lake is left out: threadx_duck[lake] could not be installed.")
            return None
        server = Server(programs)
        stack.callback(server.close)
        folder = self._folder / "lake"
        place = self._place(folder, server)
        return Measured("lake", python, self._settings(folder, place), server, place["database"])

    @staticmethod
    def _place(folder: Path, server: Server | None = None) -> dict[str, str]:
        """Returns the settings of a store that does not exist yet."""
        if server is None:
            return {"database": str(folder / "store.duckdb")}
        return {"database": server.make_database(), "data_path": str(folder / "files")}

    @staticmethod
    def _settings(folder: Path, store: dict[str, str], exchange: str = "http://127.0.0.1:9") -> Path:
        folder.mkdir(parents=True)
        path = folder / "paths.toml"
        path.write_text(
            "[data.store]\n"
            + "".join(f"{key} = {json.dumps(value)}\n" for key, value in store.items())
            + f'[data.api]\nbase_url = "{exchange}"\n[data.archive]\nbase_url = "{exchange}"\n'
        )
        return path

    def _grow(self, store: Measured, sizes: list[int]) -> None:
        self._fetch(store)
        stored, walks = 0, str(self._folder / "walks")
        for size in sizes:
            symbols = self._symbols(size)
            if not self._has_room((symbols - stored) * self._chosen.days * 1440 * _BYTES, f"{store.name}, {size:,}"):
                break
            grown = store.call("grow", walks=walks, first=stored, last=symbols, days=self._chosen.days)
            stored = symbols
            self.points.append(self._point(store, symbols, grown))
            self._write()
            # Once: the files are the same, whichever store they come from.
            if size == self._chosen.export_at and store.server is None:
                self._once(store, "export", folder=str(self._folder / "export"))
        if stored and self._has_room(_COMPACTION * self.points[-1].bytes, f"{store.name}, compaction"):
            self._once(store, "compaction")
            self.once[-1] |= {"files": store.call("state")["files"], "bytes": store.call("state")["bytes"]}
            self._write()
        shutil.rmtree(store.settings.parent)

    def _has_room(self, needed: float, what: str) -> bool:
        free = shutil.disk_usage(self._folder).free
        if free - needed >= _RESERVE:
            return True
        note(f"{what}: not measured, because {free / 1e9:.1f} GB are free and about {needed / 1e9:.1f} are needed.")
        return False

    def _once(self, store: Measured, function: str, **arguments: Any) -> None:
        """Measures the tasks that would take too long, or too much disk, at every size."""
        answer = store.call(function, **arguments)
        candles = answer["rows"] if function == "fetch" else self.points[-1].candles
        self.once.append({"store": store.name, "work": function, "candles": candles} | answer)
        note(f"{store.name}, {function}: {answer}")

    def _point(self, store: Measured, symbols: int, grown: dict[str, Any]) -> Point:
        state = store.call("state")
        point = Point(
            store.name,
            grown["duckdb"],
            state["rows"],
            symbols,
            state["files"],
            state["bytes"],
            store.catalog(),
            round(grown["rows"] / grown["seconds"]),
            round(grown["median_rate"]),
            grown["peak"],
        )
        last = START + timedelta(days=self._chosen.days - 1)
        middle, symbol = START + timedelta(days=self._chosen.days // 2), symbols_of(symbols)[symbols // 2]
        day_after = middle + timedelta(days=1)
        calls: dict[str, tuple[str, dict[str, Any]]] = {
            "year": ("year", {"symbol": symbol, "start": f"{START:%Y-%m-%d}", "end": f"{START:%Y}-12-31"}),
            "day": ("day", {"start": str(middle), "end": str(day_after)}),
            "gaps_one": ("gaps", {"symbols": [symbol]}),
            "gaps": ("gaps", {"symbols": []}),
            "ingest": ("ingest", {"end": f"{last:%Y-%m-%d}"}),
        }
        for name in QUERIES:
            function, arguments = calls.get(name, (name, {}))
            try:
                point.queries[name] = store.best(self._chosen.rounds, function, **arguments)
            except subprocess.CalledProcessError:
                note(f"{store.name}: {name} failed at {point.candles:,} candles.")
        note(f"{store.name}: {asdict(point)}")
        return point

    def _write(self) -> None:
        document = {
            "script": "scale",
            "machine": self._began,
            "parameters": {"days": self._chosen.days, "rounds": self._chosen.rounds},
            "points": [asdict(point) for point in self.points],
            "once": self.once,
        }
        output: Path = self._chosen.json or HERE / "results" / "scale.json"
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")

    def show(self) -> None:
        """Prints the table."""
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
        heads = ("candles", "files", "MB", "bytes per candle", "catalog MB", "append per second", "most MB")
        for head in ("store", *heads, *(f"{name} s" for name in QUERIES)):
            table.add_column(head, justify="left" if head == "store" else "right")
        for point in self.points:
            table.add_row(
                point.store,
                f"{point.candles:,}",
                f"{point.files:,}",
                f"{point.bytes / 1e6:,.0f}",
                f"{point.bytes / point.candles:.1f}",
                f"{point.catalog_bytes / 1e6:.1f}",
                f"{point.median_rate:,}",
                f"{point.append_peak / 1e6:,.0f}",
                *(f"{point.queries[name]['seconds']:.3g}" if name in point.queries else "failed" for name in QUERIES),
            )
        Console(width=None if sys.stdout.isatty() else 200, highlight=False, markup=False).print(table)

    def draw(self) -> None:
        """Draws the curves, in an environment of its own."""
        size, stores = "candles in the store", sorted({point.store for point in self.points})
        of = {store: [point for point in self.points if point.store == store] for store in stores}
        seconds = [query["seconds"] for point in self.points for query in point.queries.values()]
        panels: list[dict[str, Any]] = [
            {
                "title": store,
                "x": size,
                "y": "seconds",
                "limits": [min(seconds) / 2, max(seconds) * 2],
                "legend": store == stores[0],
                "curves": [
                    {
                        "name": text,
                        "points": [[p.candles, p.queries[name]["seconds"]] for p in points if name in p.queries],
                    }
                    for name, text in QUERIES.items()
                ],
            }
            for store, points in of.items()
        ]
        rates = [
            {"name": store, "points": [[p.candles, p.median_rate] for p in points]} for store, points in of.items()
        ]
        limits = [0, 1.2 * max(point.median_rate for point in self.points)]
        panels.append(
            {
                "title": "append",
                "x": size,
                "y": "candles per second",
                "scale": "linear",
                "limits": limits,
                "curves": rates,
            }
        )
        python = environment(self._chosen.plotting, self._chosen.data, "plotting", PLOTTING)
        command = [str(python), str(HERE / "draw.py"), str(self._chosen.picture)]
        subprocess.run(command, input=json.dumps(panels), text=True, check=True)


def main() -> None:
    """Measures, prints the table, writes the JSON and the picture."""
    options = parser(__doc__ or "", rounds=3)
    options.add_argument(
        "--sizes", default="1e6,10e6,30e6,100e6,300e6", help="candles of each size, with commas between"
    )
    options.add_argument("--days", type=int, default=DAYS, help=f"days of each symbol ({DAYS})")
    options.add_argument("--fetched", type=int, default=10, help="symbols ingested from an archive (10)")
    options.add_argument("--fetched-days", type=int, default=365, help="days of each (365)")
    options.add_argument("--export-at", type=float, default=10e6, help="the size of the store that is exported (10e6)")
    options.add_argument("--without-lake", action="store_true", help="measure the file alone")
    options.add_argument("--lake-python", type=Path, help="a Python that has threadx_duck[lake]; else one is made")
    options.add_argument("--plotting", type=Path, help="a Python that has matplotlib; else one is made")
    options.add_argument("--picture", type=Path, default=HERE / "scale.svg", help="file for the picture")
    options.add_argument("--without-peers", action="store_true", help="draw no picture")
    chosen = options.parse_args()
    run = Run(chosen)
    run.measure(sorted(int(float(size)) for size in chosen.sizes.split(",")))
    run.show()
    if not chosen.without_peers:
        run.draw()


if __name__ == "__main__":
    main()
