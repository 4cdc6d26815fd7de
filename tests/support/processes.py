"""Other processes for tests: one that holds a database file, one that runs the command line."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 30.0

_HOLD = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == "ro")
print("ready", flush=True)
for line in sys.stdin:
    print(connection.execute(line).fetchall(), flush=True)
connection.close()
"""


class Holder:
    """Another process with a DuckDB connection to a file."""

    def __init__(self, path: Path, mode: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _HOLD, str(path), mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, statement: str) -> str:
        """What a statement gives in the other process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(statement + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def close(self) -> None:
        """Lets go of the file; the process has ended afterwards."""
        self._process.communicate(timeout=PATIENCE)


@contextmanager
def holding(path: Path, mode: str = "ro") -> Iterator[Holder]:
    holder = Holder(path, mode)
    try:
        yield holder
    finally:
        holder.close()


def start_threadx(*arguments: str, folder: Path) -> subprocess.Popen[str]:
    """The command line in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "threadx_duck", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={key: value for key, value in os.environ.items() if not key.startswith("COV")},
    )


def run_threadx(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    process = start_threadx(*arguments, folder=folder)
    out, err = process.communicate(timeout=PATIENCE)
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def run_python(code: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A script in a process of its own, which may fail."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def wait_until(condition: Callable[[], bool], patience: float = PATIENCE) -> None:
    """Polls for a condition that another process brings about."""
    until = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < until, "the condition did not come about"
        time.sleep(0.005)
