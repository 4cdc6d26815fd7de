"""Shared code of the benchmarks: stores of made-up candles, alternating rounds, other environments, the result table.

Every script measures both sides in one run, in turns, and keeps the best of several rounds: a machine
that is busy or slow changes the milliseconds, hardly the ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import duckdb
import pyarrow as pa
from rich import box
from rich.console import Console
from rich.table import Table

from threadx_duck.candles.klines import CANDLE_SCHEMA, REJECTED_SCHEMA
from threadx_duck.candles.ranges import month_of
from threadx_duck.config import Settings, StoreSettings, get_settings
from threadx_duck.ledger.append import append_to_store
from threadx_duck.ledger.page import Page
from threadx_duck.ledger.requests import COMMIT_ROWS, Buffer, make_batches
from threadx_duck.simulator import generate_market
from threadx_duck.storage.session import prepare
from threadx_duck.storage.store import Store

HERE = Path(__file__).resolve().parent
START = datetime(2024, 1, 1)
YEAR = 365 * 1440
MINUTE = timedelta(minutes=1)

PEERS = ("arcticdb==6.28.2", "polars==2.1.0", "pandas==2.3.3", "chdb==4.4.0", "pyarrow>=17")
OLDEST = ("duckdb==1.5.3", "pyarrow>=17")

_ASSETS = ("BTC", "ETH", "SOL", "BNB", "XRP", "ADA", "DOGE", "SHIB", "PEPE")
_OUTAGES = 10
_QUIET = 0.3


def parser(description: str, *, minutes: float | None = None, rounds: int = 7) -> argparse.ArgumentParser:
    """Returns a parser with the options that every script takes."""
    made = argparse.ArgumentParser(description=description.partition("\n")[0])
    made.add_argument("--data", type=Path, default=HERE / "data", help="folder for stores and environments")
    made.add_argument("--json", type=Path, help="file for the results; by default results/<script>.json")
    made.add_argument("--rounds", type=int, default=rounds, help=f"rounds of each measurement ({rounds})")
    if minutes is not None:
        made.add_argument("--minutes", type=_count, default=int(minutes), help=f"candles in the store ({minutes:g})")
    return made


def _count(text: str) -> int:
    return int(float(text))


# Stores


def symbols_of(count: int) -> list[str]:
    """Returns the given number of symbol names; the first ones are well known."""
    return [f"{_ASSETS[n]}USDC" if n < len(_ASSETS) else f"A{n:03}USDC" for n in range(count)]


def shape(minutes: int) -> tuple[list[str], int]:
    """Returns the symbols of a store with this many candles, and the minutes of each: a year, or less for few."""
    count = max(2, round(minutes / YEAR))
    return symbols_of(count), max(1_440, minutes // count)


def make_minutes(symbol: str, count: int, *, start: datetime = START, whole: bool = False) -> pa.Table:
    """Returns plausible minutes of one symbol with ten outages in them; every fourth symbol is quiet."""
    step = timedelta(minutes=count) / (_OUTAGES + 1)
    # Not at the same time in every symbol, because one symbol would then show the outages of all.
    shift = timedelta(minutes=sum(symbol.encode()) % 97)
    outages = (
        [] if whole else [(start + step * n + shift, start + step * n + shift + 79 * MINUTE) for n in range(1, 11)]
    )
    quiet = {symbol: _QUIET} if sum(symbol.encode()) % 4 == 3 else {}
    market = generate_market([symbol], start=start, end=start + count * MINUTE, outages=outages, quiet=quiet)
    table = market[symbol].candles.append_column("symbol", pa.repeat(symbol, market[symbol].candles.num_rows))
    return table.select(CANDLE_SCHEMA.names).cast(CANDLE_SCHEMA)


def make_page(symbol: str, candles: pa.Table, start: datetime, end: datetime, source: str = "archive_monthly") -> Page:
    """Returns candles as if they came from a file of the archive."""
    return Page(
        symbol=symbol,
        timeframe="1m",
        source=source,
        range_start=start,
        range_end=end,
        candles=candles,
        rejected=REJECTED_SCHEMA.empty_table(),
        url=f"https://example.invalid/{symbol}-{start:%Y-%m-%d}",
        bodies=(symbol.encode(), str(start).encode()),
        requested_at=end + timedelta(days=2),
        seconds=0.1,
    )


def months(candles: pa.Table, start: datetime, end: datetime) -> Iterable[tuple[pa.Table, datetime, datetime]]:
    """Yields the candles by month, as the archive has them."""
    opened = candles["open_time"].combine_chunks().cast(pa.int64()).to_numpy()
    while start < end:
        until = min(end, month_of(start).end)
        first, last = opened.searchsorted([_us(start), _us(until)])
        yield candles.slice(first, last - first), start, until
        start = until


def _us(moment: datetime) -> int:
    return int(moment.replace(tzinfo=UTC).timestamp()) * 1_000_000


def store_at(path: Path) -> Store:
    """Returns the store in a file, which need not exist yet."""
    return Store(StoreSettings(database=path))


def append_months(store: Store, symbols: Sequence[str], minutes: int) -> None:
    """Appends symbols month by month, and commits as often as an ingest does."""
    end = START + minutes * MINUTE
    buffer = Buffer()
    with ThreadPoolExecutor(2) as pool:
        for symbol, candles in zip(symbols, _ahead(pool, symbols, minutes), strict=True):
            for part, first, last in months(candles, START, end):
                buffer.add(make_page(symbol, part, first, last))
                if buffer.rows >= COMMIT_ROWS:
                    append_to_store(store, make_batches(buffer.requests))
                    buffer = Buffer()
    if buffer.requests:
        append_to_store(store, make_batches(buffer.requests))


def _ahead(pool: ThreadPoolExecutor, symbols: Sequence[str], minutes: int) -> Iterable[pa.Table]:
    """Yields each symbol's minutes; makes those of two symbols ahead while an earlier one is stored."""
    futures = [pool.submit(make_minutes, symbol, minutes) for symbol in symbols[:2]]
    for number in range(len(symbols)):
        table = futures.pop(0).result()
        if number + 2 < len(symbols):
            futures.append(pool.submit(make_minutes, symbols[number + 2], minutes))
        yield table


def make_store(folder: Path, minutes: int) -> Path:
    """Returns a store with about this many candles; makes it once and keeps it."""
    path = folder / f"{minutes}.duckdb"
    if not path.exists():
        note(f"making {path.name}: {minutes:,} candles")
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".unfinished")
        unfinished.unlink(missing_ok=True)
        names, each = shape(minutes)
        append_months(store_at(unfinished), names, each)
        unfinished.rename(path)
    return path


def settings_for(path: Path, **api: Any) -> Settings:
    """Returns settings for a store, without any other settings of this machine."""
    settings = get_settings()
    return replace(
        settings,
        store=replace(settings.store, database=path),
        api=replace(settings.api, **api),
        logging=replace(settings.logging, directory=path.parent / "logs"),
    )


def connect(path: Path) -> duckdb.DuckDBPyConnection:
    """A connection that reads, such as our commands open."""
    connection = duckdb.connect(str(path), read_only=True, config={"storage_compatibility_version": "v1.0.0"})
    prepare(connection)
    return connection


# Time


def timed(work: Callable[[], Any]) -> float:
    """Returns how many seconds some work takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def best_of(rounds: int, **sides: Callable[[], float]) -> dict[str, float]:
    """Returns the best time of each side; the sides run in turns, after one round that does not count."""
    best: dict[str, float] = {}
    for number in range(rounds + 1):
        for name, side in sides.items():
            seconds = side()
            if number or not rounds:
                best[name] = min(best.get(name, seconds), seconds)
    return best


# Other environments


def environment(given: Path | None, folder: Path, name: str, requirements: Sequence[str]) -> Path:
    """Returns the Python of an environment with some packages: the given one, else one that it makes once and keeps."""
    if given is not None:
        return given
    python = folder / "environments" / name / "bin" / "python"
    if not python.exists():
        note(f"making the environment {name}: {' '.join(requirements)}")
        subprocess.run([sys.executable, "-m", "venv", str(python.parent.parent)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *requirements], check=True)
    return python


class Worker:
    """A process of another Python that times the functions of ``workers.py``."""

    def __init__(self, python: Path | str) -> None:
        self._process = subprocess.Popen(
            [str(python), str(HERE / "workers.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()

    def call(self, function: str, **arguments: Any) -> dict[str, Any]:
        """Returns a function's result: ``seconds`` it took, ``rows``, ``peak`` memory of the process in bytes."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([function, arguments], default=str) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("{"):
                answer: dict[str, Any] = json.loads(line)
                return answer
        raise RuntimeError(f"{function} ended its process")

    def seconds(self, function: str, **arguments: Any) -> float:
        """Returns how many seconds a function takes in that process."""
        return float(self.call(function, **arguments)["seconds"])


# Results


@dataclass
class Row:
    """One comparison of ours with another figure; the ratio should be at most (or at least) the target."""

    work: str
    against: str
    ours: float
    theirs: float
    target: float | None
    unit: str = "ms"
    at_least: bool = False
    versions: str = ""

    @property
    def ratio(self) -> float:
        """Returns ours divided by theirs."""
        return self.ours / self.theirs

    @property
    def is_met(self) -> bool | None:
        """Returns whether the target is reached; None without a target."""
        if self.target is None:
            return None
        return self.ratio >= self.target if self.at_least else self.ratio <= self.target


@dataclass
class Results:
    """The rows of one script."""

    script: str
    parameters: Mapping[str, Any]
    rows: list[Row] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """Adds a row and shows it at once on stderr."""
        self.rows.append(row)
        note(f"{row.work} / {row.against}: {row.ours:.4g} / {row.theirs:.4g} {row.unit} = {row.ratio:.3f}")

    def finish(self, output: Path | None) -> None:
        """Prints the table and writes the JSON."""
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, title=None)
        for name, justify in (
            ("work", "left"), ("against", "left"), ("ours", "right"), ("theirs", "right"), ("unit", "left"),
            ("ratio", "right"), ("target", "right"), ("met", "left"),
        ):  # fmt: skip
            table.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
        for row in self.rows:
            sign = ">=" if row.at_least else "<="
            target = "" if row.target is None else f"{sign} {row.target:g}"
            met = {True: "yes", False: "NO", None: ""}[row.is_met]
            cells = (f"{row.ours:.4g}", f"{row.theirs:.4g}", row.unit, f"{row.ratio:.3f}", target, met)
            table.add_row(row.work, row.against, *cells)
        Console(width=None if sys.stdout.isatty() else 200, highlight=False, markup=False).print(table)
        document = {
            "script": self.script,
            "machine": machine(),
            # The results must not show paths of this machine.
            "parameters": {key: value for key, value in self.parameters.items() if isinstance(value, int | float)},
            "rows": [asdict(row) | {"ratio": round(row.ratio, 4), "met": row.is_met} for row in self.rows],
        }
        output = output or HERE / "results" / f"{self.script}.json"
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def machine() -> dict[str, Any]:
    """Returns the machine and versions that the figures depend on."""
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%dT%H:%MZ}",
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "duckdb": duckdb.__version__,
        "pyarrow": pa.__version__,
    }


def note(text: str) -> None:
    """Prints one line on stderr."""
    sys.stderr.write(f"{text}\n")
