"""The processes of a soak: each runs one command line, and dies when and where it is told to.

They are forked from one that has imported what a command needs, because that takes longer than most commands do.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

# Reads what to run, a line for each process; answers with the process, and again with how it ended.
_PARENT = """
import json, os, sys
import pyarrow.parquet, rich.progress
from importlib import import_module
from threadx_duck.cli.commands import COMMANDS
from threadx_duck.cli.lazy import module_of
from threadx_duck.download import run as download
from threadx_duck.files import importer as importing
from threadx_duck.cli.main import run
from threadx_duck.storage.session import Session

for command in COMMANDS:
    import_module("threadx_duck.cli.commands." + module_of(command))
for module, rows in ((download, 6_000), (importing, 3_000)):
    assert module.COMMIT_ROWS > rows
    module.COMMIT_ROWS = rows

def live(turn, delay, folder, arguments):
    import signal, threading
    events, writes = 0, os.O_WRONLY | os.O_RDWR | os.O_CREAT
    shown = {"open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.chmod", "os.chown", "shutil.rmtree"}

    def kill():
        os.kill(os.getpid(), signal.SIGKILL)

    def count():
        nonlocal events
        events += 1
        if events == turn:
            threading.Timer(delay, kill).start() if delay else kill()

    def hook(event, arguments):
        if event not in shown:
            return
        path = arguments[0]
        if not isinstance(path, (str, os.PathLike)) or not os.path.abspath(path).startswith(folder):
            return
        if "log" in os.path.basename(path) or event == "open" and not arguments[2] & writes:
            return
        count()

    changing = {"append", "natives", "remove", "store", "migrate", "compact", "backup", "publish"}
    function = Session.run

    def watched(self, name, *arguments, **options):
        if name.partition("/")[0] in changing:
            count()
        return function(self, name, *arguments, **options)

    Session.run = watched
    sys.addaudithook(hook)
    code = 1
    try:
        code = int(run(arguments))
    finally:
        with open("/dev/fd/3", "w") as report:
            report.write(str(events))
    return code

for line in sys.stdin:
    turn, delay, folder, out, err, report, arguments = json.loads(line)
    process = os.fork()
    if not process:
        for number, path in ((0, os.devnull), (1, out), (2, err), (3, report)):
            descriptor = os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY)
            if descriptor != number:
                os.dup2(descriptor, number, inheritable=True)
                os.close(descriptor)
        os.chdir(folder)
        sys.exit(live(turn, delay, folder, arguments))
    print(process, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
"""


class Ended(NamedTuple):
    """How a process ended: its code, both outputs, how many events it came to, the seconds it took."""

    code: int
    out: str
    error: str
    events: int
    seconds: float


class Children:
    """Runs processes one after the other. A context manager."""

    def __enter__(self) -> Children:
        self._parent = subprocess.Popen(
            [sys.executable, "-c", _PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._parent.communicate()

    def run(self, folder: Path, arguments: Sequence[str], turn: int, delay: float, patience: float) -> Ended:
        """Runs a command line; it dies at an event, some seconds after it, or when patience ends."""
        assert self._parent.stdin is not None
        with tempfile.TemporaryDirectory(prefix="threadx-soak-") as aside:
            files = [Path(aside, name) for name in ("out", "err", "events")]
            for file in files:
                file.touch()
            began = time.monotonic()
            order = (turn, delay, str(folder), *map(str, files), arguments)
            self._parent.stdin.write(json.dumps(order) + "\n")
            self._parent.stdin.flush()
            process = int(self._line())
            if not self._is_told(patience):
                os.kill(process, signal.SIGKILL)
            code = int(self._line())
            out, error, events = (file.read_text(encoding="utf-8") for file in files)
        return Ended(code, out, error, int(events or 0), time.monotonic() - began)

    def _is_told(self, patience: float) -> bool:
        with selectors.DefaultSelector() as selector:
            assert self._parent.stdout is not None
            selector.register(self._parent.stdout, selectors.EVENT_READ)
            return bool(selector.select(patience))

    def _line(self) -> str:
        assert self._parent.stdout is not None
        line = self._parent.stdout.readline()
        assert line, "the parent of the processes has ended"
        return line
