"""Progress on a terminal: the CPU of an ingest of many symbols whose bars are drawn, against the same one piped.

Whole processes, in turns, against a loopback exchange in a process of its own. CPU seconds, not the clock: they hardly
depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import resource
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, timedelta
from pathlib import Path

from common import START, Results, Row, best_of, parser, symbols_of

_LINES, _COLUMNS = 24, 80


def main() -> None:
    """Measures, prints the table, writes the JSON."""
    options = parser(__doc__ or "", rounds=3)
    options.add_argument("--symbols", type=int, default=420, help="how many symbols to ingest (420)")
    options.add_argument("--days", type=int, default=5, help="days of each (5)")
    options.add_argument("--latency", type=float, default=0.05, help="seconds before each answer (0.05)")
    chosen = options.parse_args()
    results = Results("terminal", vars(chosen))
    with tempfile.TemporaryDirectory() as folder, _exchange(chosen) as url:
        settings = Path(folder) / "paths.toml"
        settings.write_text(
            f'[data.api]\nbase_url = "{url}"\nrate_limit_calls = 1000000\n[data.archive]\nenabled = false\n'
        )
        best = best_of(
            chosen.rounds,
            terminal=lambda: _ingest(chosen, settings, is_terminal=True),
            piped=lambda: _ingest(chosen, settings, is_terminal=False),
        )
    work = f"ingest of {chosen.symbols} symbols on a terminal, CPU"
    results.add(Row(work, "piped", best["terminal"], best["piped"], 1.2, unit="s"))
    results.finish(chosen.json)


@contextmanager
def _exchange(chosen: argparse.Namespace) -> Iterator[str]:
    """Serves the symbols' candles from a process of its own; gives its address."""
    end = (START + timedelta(days=chosen.days)).replace(tzinfo=UTC)
    command = [sys.executable, "-m", "threadx_duck.simulator", "--symbols", ",".join(symbols_of(chosen.symbols))]
    command += ["--days", str(chosen.days), "--end", end.isoformat(), "--latency", str(chosen.latency)]
    command += ["--weight-limit", "100000000", "--prepare"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def _ingest(chosen: argparse.Namespace, settings: Path, *, is_terminal: bool) -> float:
    """Downloads everything into a new store; returns the CPU seconds of the process."""
    with tempfile.TemporaryDirectory(dir=settings.parent) as folder:
        command = [sys.executable, "-m", "threadx_duck", "--config", str(settings)]
        command += ["--db", str(Path(folder) / "store.duckdb"), "ingest", *symbols_of(chosen.symbols)]
        command += ["--start", f"{START:%Y-%m-%d}"]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        _run_on_terminal(command) if is_terminal else subprocess.run(command, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)


def _run_on_terminal(command: list[str]) -> None:
    """Runs a command on a pseudo-terminal of the usual size and reads what it draws."""
    screen, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", _LINES, _COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color"}
    with subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal, env=environment) as process:
        os.close(terminal)
        # Reading fails once the last one who could write has gone.
        with suppress(OSError):
            while os.read(screen, 1 << 16):
                pass
        os.close(screen)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)


if __name__ == "__main__":
    main()
