"""A symbol-year from the archive: this package, freqtrade's archive reader, ccxt's REST loop, and the floor.

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
from dataclasses import asdict, dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
SYMBOL = "BTCUSDC"
START, END, CLOCK = "2024-01-01", "2025-01-01", "2025-01-20T00:00"
CANDLES = 527_040


@dataclass(frozen=True)
class Run:
    """One process, from its start to its end."""

    name: str
    wall: float
    cpu: float
    peak_mb: float
    output: str


def main() -> None:
    """Measures, prints one table, and writes JSON if asked to."""
    options = _options()
    skipped = set(options.skip.split(","))
    with tempfile.TemporaryDirectory() as folder, _exchange(options.latency) as url:
        work = Path(folder)
        runs = [_ingest(url, work, number) for number in range(options.repeat)]
        floors = [_floor(url, work, number) for number in range(options.repeat)]
        others = [name for name in ("freqtrade", "ccxt") if name not in skipped]
        if others:
            python = _environment(options.environment, others)
            if "freqtrade" in others:
                runs += [_other("freqtrade", python, "freqtrade_reader.py", url, work) for _ in range(options.repeat)]
            if "ccxt" in others:
                runs.append(_other("ccxt", python, "ccxt_loop.py", url, work))
    floor = {stage: statistics.median(one[stage] for one in floors) for stage in floors[0]}
    _print(runs, floor)
    if options.json:
        options.json.write_text(json.dumps({"runs": [asdict(run) for run in runs], "floor": floor}, indent=2) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A symbol-year from the archive, measured as whole processes.")
    parser.add_argument("--latency", type=float, default=0.08, help="seconds before each answer")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each; the median is printed (ccxt runs once)")
    parser.add_argument("--skip", default="", help="freqtrade, ccxt or both, with a comma between")
    parser.add_argument("--environment", type=Path, default=Path(tempfile.gettempdir()) / "threadx-benchmarks")
    parser.add_argument("--json", type=Path, help="write every figure to this file")
    return parser.parse_args()


@contextmanager
def _exchange(latency: float) -> Iterator[str]:
    """A loopback exchange in its own process; its address."""
    command = [sys.executable, "-m", "threadx_duck.simulator", "--symbols", SYMBOL, "--days", "372"]
    command += ["--end", "2025-01-04T00:00", "--now", CLOCK, "--latency", str(latency), "--prepare"]
    with subprocess.Popen([*command, "--prepare-archive"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


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


def _ingest(url: str, work: Path, number: int) -> Run:
    folder = work / f"ingest{number}"
    folder.mkdir()
    (folder / "paths.toml").write_text(f'[data.api]\nbase_url = "{url}"\n[data.archive]\nbase_url = "{url}"\n')
    arguments = ["ingest", SYMBOL, "--start", START, "--end", f"{END}T00:00", "--json"]
    run = _run("threadx ingest", [sys.executable, "-m", "threadx_duck", *arguments], folder)
    _require_all(run, json.loads(run.output)["rows_added"])
    return run


def _other(name: str, python: Path, script: str, url: str, work: Path) -> Run:
    output = str(work / f"{name}.feather")
    run = _run(name, [str(python), str(HERE / script), url, SYMBOL, START, END, output], work)
    _require_all(run, int(run.output))
    return run


def _floor(url: str, work: Path, number: int) -> dict[str, float]:
    folder = work / f"floor{number}"
    folder.mkdir()
    run = _run("floor", [sys.executable, str(HERE / "archive_floor.py"), url, SYMBOL, START, END, str(folder)], folder)
    seconds: dict[str, float] = json.loads(run.output)
    return seconds


def _require_all(run: Run, candles: int) -> None:
    if candles != CANDLES:
        raise SystemExit(f"{run.name} brought {candles:,} candles of {CANDLES:,}.")


def _environment(folder: Path, packages: Sequence[str]) -> Path:
    """The Python of an environment that has the packages; made and filled only where it lacks them."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    probe = "; ".join(f"import {name}" for name in packages)
    if subprocess.run([python, "-c", probe], capture_output=True, check=False).returncode:
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
    return python


def _print(runs: Sequence[Run], floor: dict[str, float]) -> None:
    """One table: medians over the runs of each name; then the floor by stages, and the ratio."""
    walls: dict[str, float] = {}
    lines = [f"{'':16}{'wall s':>8}{'CPU s':>8}{'peak MB':>9}{'rows/s':>11}"]
    for name in dict.fromkeys(run.name for run in runs):
        mine = [run for run in runs if run.name == name]
        wall, cpu, peak = (statistics.median(getattr(run, key) for run in mine) for key in ("wall", "cpu", "peak_mb"))
        walls[name] = wall
        lines.append(f"{name:16}{wall:8.2f}{cpu:8.2f}{peak:9.0f}{CANDLES / wall:11,.0f}")
    total = sum(floor.values())
    lines.append(f"{'floor':16}{total:8.2f}{'':8}{'':9}{CANDLES / total:11,.0f}")
    lines += [f"  {stage:14}{seconds:8.2f}" for stage, seconds in floor.items()]
    ours = walls["threadx ingest"]
    lines += [f"threadx ingest / {name}: {ours / wall:.2f}" for name, wall in walls.items() if name != "threadx ingest"]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
