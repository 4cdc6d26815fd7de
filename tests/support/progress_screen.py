"""Runs ``threadx`` on a pseudo-terminal and shows the screen that a person would see."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyte

_PATIENCE_SECONDS = 60.0


class ScreenedProcess:
    """A process whose terminal is read; ``lines`` are all of its lines so far, those that scrolled away first."""

    def __init__(self, process: subprocess.Popen[bytes], terminal: int, lines: int, columns: int) -> None:
        self.process = process
        self.seen: list[list[str]] = []
        self._terminal = terminal
        self._screen = pyte.HistoryScreen(columns, lines, history=10_000)
        self._stream = pyte.ByteStream(self._screen)

    @property
    def screen(self) -> list[str]:
        """The lines on the screen."""
        return [line.rstrip() for line in self._screen.display]

    @property
    def is_cursor_hidden(self) -> bool:
        """Whether the cursor is hidden."""
        return bool(self._screen.cursor.hidden)

    @property
    def lines(self) -> list[str]:
        """Every line that stays: those that scrolled away and those on the screen."""
        columns = range(self._screen.columns)
        gone = ["".join(line[column].data for column in columns).rstrip() for line in self._screen.history.top]
        return [line for line in gone + self.screen if line]

    def read_until(self, is_met: Callable[[list[str]], bool]) -> list[str]:
        """Reads until a screen meets a condition; returns that screen. ``seen`` holds every screen read."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not is_met(self.screen):
            assert time.monotonic() < deadline, self.screen
            assert self._read(), self.screen
        return self.screen

    def read_to_end(self) -> int:
        """Reads until the process ends; returns its exit code."""
        while self._read():
            pass
        return self.process.wait(_PATIENCE_SECONDS)

    def interrupt(self) -> None:
        """Presses Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._terminal], [], [], _PATIENCE_SECONDS)
        assert ready, self.screen
        try:
            data = os.read(self._terminal, 1 << 16)
        except OSError:
            # Linux says so when nobody has the terminal open any more.
            return False
        self._stream.feed(data)
        self.seen.append(self.screen)
        return bool(data)


@contextmanager
def on_terminal(
    *arguments: str, folder: Path, lines: int = 24, columns: int = 80, program: str | None = None
) -> Iterator[ScreenedProcess]:
    """Starts ``threadx`` in a folder on a terminal of a size; ``program`` is Python code to run in its place."""
    terminal, its_own = os.openpty()
    fcntl.ioctl(its_own, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    command = [sys.executable, *(("-c", program) if program else ("-m", "threadx_duck")), *arguments]
    environment = {**os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8"}
    for name in ("NO_COLOR", "COLUMNS", "LINES"):
        environment.pop(name, None)
    with subprocess.Popen(
        command, cwd=folder, stdin=its_own, stdout=its_own, stderr=its_own, env=environment
    ) as process:
        os.close(its_own)
        try:
            yield ScreenedProcess(process, terminal, lines, columns)
        finally:
            if process.poll() is None:
                process.kill()
            os.close(terminal)
