"""Whole downloads: a symbol-year from the archive and a symbol-month over REST, against freqtrade, ccxt, and the floor.

See README.md beside this file. Every contender runs as a process of its own against a loopback exchange
in another one, at the same latency, with all files and pages prepared beforehand.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from common import MINUTE, Results, Row, environment
from rich.console import Console

from threadx_duck.candles.ranges import month_of

HERE = Path(__file__).resolve().parent
SYMBOL = "BTCUSDC"
START = datetime(2024, 1, 1)
MONTH = (datetime(2024, 1, 1), datetime(2024, 2, 1))


@dataclass(frozen=True)
class Run:
    """One process, from its start to its end."""

    name: str
    wall: float
    cpu: float
    peak_mb: float
    output: str


@dataclass(frozen=True)
class Task:
    """The range that every contender downloads."""

    start: datetime
    end: datetime

    @property
    def candles(self) -> int:
        """Returns the number of candles in the range."""
        return (self.end - self.start) // MINUTE


def main() -> None:
    """Measures, prints the tables, and writes the JSON."""
    options = _options()
    results = Results("archive", vars(options))
    year = Task(START, _end(options.months))
    month = Task(*MONTH)
    peers = [name for name in ("freqtrade", "ccxt") if name not in options.skip.split(",")]
    # Without the packages of notebooks and tests: pyarrow imports numpy wherever it is installed.
    own = environment(options.ours, options.data, "threadx", ["--editable", str(HERE.parent)])
    others = environment(options.peers, options.data, "downloaders", peers) if peers else Path()
    with tempfile.TemporaryDirectory() as folder, _exchange(options, year.end, [SYMBOL]) as url:
        contest = _Contest(url, Path(folder), own, others, options.repeat)
        ours = contest.ingest("threadx, archive", year)
        floor = contest.floor(year)
        over_rest = contest.ingest("threadx, REST month", month, "--source", "rest")
        theirs = {}
        if "freqtrade" in peers:
            theirs["freqtrade's archive reader"] = contest.other("freqtrade", "freqtrade_reader.py", year), 0.4
        if "ccxt" in peers:
            theirs["ccxt's loop"] = contest.other("ccxt", "ccxt_loop.py", year, repeat=1), None
            loop = contest.other("ccxt, REST month", "ccxt_loop.py", month)
            results.add(Row("REST ingest of one symbol-month", "ccxt's loop", over_rest, loop, 0.25, unit="s"))
    for against, (wall, target) in theirs.items():
        results.add(Row("archive ingest of one symbol-year", against, ours, wall, target, unit="s"))
    results.add(Row("archive ingest of one symbol-year", "unzip, parse and append", ours, floor, None, unit="s"))
    many = [f"S{number}USDC" for number in range(options.symbols)]
    with tempfile.TemporaryDirectory() as folder, _exchange(options, year.end, many) as url:
        _Contest(url, Path(folder), own, others, 1).ingest_many(results, many, year)
    results.finish(options.json)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=HERE / "data", help="folder for environments")
    parser.add_argument("--ours", type=Path, help="a Python that has threadx_duck; else one is made with nothing else")
    parser.add_argument("--peers", type=Path, help="a Python that has freqtrade and ccxt; else one is made")
    parser.add_argument(
        "--skip", default="", help="programs to leave out: freqtrade, ccxt or both, with a comma between"
    )
    parser.add_argument("--latency", type=float, default=0.08, help="seconds before each answer (0.08)")
    parser.add_argument("--repeat", type=int, default=5, help="runs of each; the median counts (5; a year of ccxt: 1)")
    parser.add_argument("--months", type=int, default=12, help="months from the archive (12)")
    parser.add_argument("--symbols", type=int, default=10, help="symbols of the ingest whose memory is measured (10)")
    parser.add_argument("--json", type=Path, help="file for the results; by default results/archive.json")
    return parser.parse_args()


def _end(months: int) -> datetime:
    end = START
    for _ in range(months):
        end = month_of(end).end
    return end


@contextmanager
def _exchange(options: argparse.Namespace, end: datetime, symbols: Sequence[str]) -> Iterator[str]:
    """Starts a loopback exchange in its own process and yields its address."""
    last = max(end, MONTH[1]) + timedelta(days=3)
    command = [sys.executable, "-m", "threadx_duck.simulator", "--symbols", ",".join(symbols)]
    command += ["--days", str((last - START).days + 3), "--end", f"{last:%Y-%m-%dT%H:%M}"]
    command += ["--now", f"{last + timedelta(days=16):%Y-%m-%dT%H:%M}", "--latency", str(options.latency)]
    command += ["--prepare-archive", *(["--prepare"] if len(symbols) == 1 else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


class _Contest:
    """Runs the contenders and shows the time of each."""

    def __init__(self, url: str, work: Path, own: Path, others: Path, repeat: int) -> None:
        self._url = url
        self._work = work
        self._own = own
        self._others = others
        self._repeat = repeat
        self._console = Console(width=None if sys.stdout.isatty() else 100, highlight=False, markup=False)

    def ingest(self, name: str, task: Task, *options: str) -> float:
        """Returns the median seconds of `threadx ingest` into a new store."""
        runs = [self._ingest(f"{name}-{number}", [SYMBOL], task, *options) for number in range(self._repeat)]
        return self._show(runs, task.candles)

    def ingest_many(self, results: Results, symbols: Sequence[str], task: Task) -> None:
        """Measures the memory and the rate of `threadx ingest` of many symbols into one new store."""
        run = self._ingest("threadx, many", symbols, task)
        self._show([run], task.candles * len(symbols))
        results.add(Row(f"archive ingest of {len(symbols)} symbol-years, memory", "400 MB", run.peak_mb, 400, 1, "MB"))

    def _ingest(self, name: str, symbols: Sequence[str], task: Task, *options: str) -> Run:
        folder = self._work / name
        folder.mkdir()
        url = self._url
        (folder / "paths.toml").write_text(f'[data.api]\nbase_url = "{url}"\n[data.archive]\nbase_url = "{url}"\n')
        span = ["--start", f"{task.start:%Y-%m-%dT%H:%M}", "--end", f"{task.end:%Y-%m-%dT%H:%M}"]
        command = [str(self._own), "-m", "threadx_duck", "ingest", *symbols, *span, *options, "--json"]
        run = _run(name, command, folder)
        _require_all(run, json.loads(run.output)["rows_added"], task.candles * len(symbols))
        return run

    def other(self, name: str, script: str, task: Task, repeat: int | None = None) -> float:
        """Returns the median seconds of another program."""
        runs = []
        for _ in range(repeat or self._repeat):
            days = [f"{moment:%Y-%m-%d}" for moment in (task.start, task.end)]
            output = str(self._work / f"{name}.feather")
            run = _run(name, [str(self._others), str(HERE / script), self._url, SYMBOL, *days, output], self._work)
            _require_all(run, int(run.output), task.candles)
            runs.append(run)
        return self._show(runs, task.candles)

    def floor(self, task: Task) -> float:
        """Returns the seconds of unzip, parse and append alone, in turn, with files in memory; shows each stage."""
        stages = []
        for number in range(self._repeat):
            folder = self._work / f"floor-{number}"
            folder.mkdir()
            days = [f"{moment:%Y-%m-%d}" for moment in (task.start, task.end)]
            command = [str(self._own), str(HERE / "archive_floor.py"), self._url, SYMBOL, *days, str(folder)]
            stages.append(json.loads(_run("floor", command, folder).output))
        median = {stage: statistics.median(one[stage] for one in stages) for stage in stages[0]}
        parts = ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in median.items())
        self._console.print(f"floor: {sum(median.values()):.2f} s ({parts})")
        return sum(median.values())

    def _show(self, runs: Sequence[Run], candles: int) -> float:
        wall, cpu, peak = (statistics.median(getattr(run, key) for run in runs) for key in ("wall", "cpu", "peak_mb"))
        self._console.print(
            f"{runs[0].name}: {wall:.2f} s, {cpu:.2f} s of CPU, {peak:.0f} MB, {candles / wall:,.0f} rows/s"
        )
        return wall


def _run(name: str, command: Sequence[str], folder: Path) -> Run:
    """Runs a process to its end. Raises if it fails."""
    began = time.perf_counter()
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        output, errors = process.stdout.read(), process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - began
    if process.returncode:
        raise SystemExit(f"{name} failed:\n{output}{errors}")
    # The kernel counts kilobytes, but bytes on macOS.
    peak = usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    return Run(name, wall, usage.ru_utime + usage.ru_stime, peak, output)


def _require_all(run: Run, candles: int, due: int) -> None:
    if candles != due:
        raise SystemExit(f"{run.name} brought {candles:,} candles of {due:,}.")


if __name__ == "__main__":
    main()
