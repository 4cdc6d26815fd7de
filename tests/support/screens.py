"""A command line on a real pseudo-terminal of any width, in this process, and what its screen then shows."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import sys
import termios
import threading
from dataclasses import dataclass

import pytest
from rich.cells import cell_len

from threadx_duck.cli.main import run

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Screen:
    """What a terminal shows after a command: its lines, as long as it is wide; and all that was sent to it."""

    code: int
    lines: list[str]
    sent: str

    @property
    def text(self) -> str:
        """The screen as one text."""
        return "\n".join(self.lines)


def shown(sent: str, width: int) -> list[str]:
    """The lines of a terminal of this width: it breaks a longer one wherever its edge is, even in a number."""
    plain = _COLOURS.sub("", sent).replace("\r\n", "\n")
    assert "\x1b" not in plain, "a table has no reason to move the cursor"
    return [part for line in plain.split("\n") for part in _broken(line, width)]


def _broken(line: str, width: int) -> list[str]:
    parts = [""]
    for letter in line:
        if cell_len(parts[-1] + letter) > width:
            parts.append("")
        parts[-1] += letter
    return parts


def run_on_terminal(monkeypatch: pytest.MonkeyPatch, width: int, *arguments: str) -> Screen:
    """Runs a command line with stdout and stderr on a new terminal."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    received: list[bytes] = []
    reader = threading.Thread(target=_read_all, args=(master, received))
    reader.start()
    with monkeypatch.context() as patch, os.fdopen(slave, "w", encoding="utf-8") as terminal:
        patch.setattr(sys, "stdout", terminal)
        patch.setattr(sys, "stderr", terminal)
        code = run(list(arguments))
    reader.join()
    os.close(master)
    sent = b"".join(received).decode()
    return Screen(code, shown(sent, width), sent)


def _read_all(master: int, received: list[bytes]) -> None:
    while True:
        try:
            part = os.read(master, 65_536)
        except OSError:
            # Linux's way to say that nobody has the terminal open any more.
            return
        if not part:
            return
        received.append(part)
