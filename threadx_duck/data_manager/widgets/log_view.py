"""The live log: the newest lines of the package's loggers, filtered by level and text."""

from __future__ import annotations

import logging
import time
import tkinter as tk
from collections import deque
from collections.abc import Callable
from tkinter import font as tkfont
from tkinter import ttk
from typing import NamedTuple

from threadx_duck.data_manager.widgets.theme import palette_of

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
MOST_LINES = 2_000


class Line(NamedTuple):
    """One line of the log."""

    level: int
    text: str


class LogForwarder(logging.Handler):
    """Passes on the lines that any thread logs."""

    def __init__(self, send: Callable[[Line], None]) -> None:
        super().__init__()
        self._send = send
        formatter = logging.Formatter("%(asctime)s  %(levelname)-7s  %(message)s", "%H:%M:%S")
        formatter.converter = time.gmtime
        self.setFormatter(formatter)

    def emit(self, record: logging.LogRecord) -> None:
        """Passes one line on."""
        self._send(Line(record.levelno, self.format(record)))


class LogView(ttk.Frame):
    """Shows those of the newest lines that have at least the chosen level and contain the filter's text."""

    def __init__(self, parent: tk.Misc, level: str) -> None:
        super().__init__(parent, padding=(0, 6, 0, 0))
        self._lines: deque[Line] = deque(maxlen=MOST_LINES)
        self.level = tk.StringVar(self, level if level in LEVELS else "INFO")
        self.filter = tk.StringVar(self)
        head = ttk.Frame(self)
        head.pack(fill="x", pady=(0, 4))
        ttk.Label(head, text="Level").pack(side="left", padx=(0, 6))
        ttk.Combobox(head, textvariable=self.level, values=LEVELS, state="readonly", width=9).pack(side="left")
        ttk.Label(head, text="Filter").pack(side="left", padx=(12, 6))
        ttk.Entry(head, textvariable=self.filter, width=20).pack(side="left")
        ttk.Button(head, text="Clear", command=self.clear).pack(side="left", padx=(12, 0))
        body = ttk.Frame(self)
        body.pack(fill="both", expand=True)
        font = tkfont.nametofont("TkFixedFont", self)
        self.text = tk.Text(body, height=6, wrap="none", font=font, state="disabled", relief="flat", padx=6, pady=4)
        bar = ttk.Scrollbar(body, command=self.text.yview)
        self.text.configure(yscrollcommand=bar.set)
        bar.pack(side="right", fill="y")
        self.text.pack(side="left", fill="both", expand=True)
        for variable in (self.level, self.filter):
            variable.trace_add("write", lambda *_: self._draw())
        self.recolour()

    @property
    def shown(self) -> list[str]:
        """Returns the text of the lines shown."""
        return self.text.get("1.0", "end-1c").splitlines()

    def add(self, line: Line) -> None:
        """Adds a line, and drops the oldest one if the log is full."""
        is_full = len(self._lines) == MOST_LINES
        if is_full and self._passes(self._lines[0]):
            self._edit(lambda: self.text.delete("1.0", "2.0"))
        self._lines.append(line)
        if self._passes(line):
            self._edit(lambda: self._insert(line))

    def clear(self) -> None:
        """Removes all lines."""
        self._lines.clear()
        self._draw()

    def recolour(self) -> None:
        """Applies the colours of the current theme."""
        palette = palette_of(self)
        self.text.configure(background=palette.background, foreground=palette.text, insertbackground=palette.text)
        self.text.tag_configure("DEBUG", foreground=palette.faint)
        self.text.tag_configure("WARNING", foreground=palette.warning)
        self.text.tag_configure("ERROR", foreground=palette.error)

    def _passes(self, line: Line) -> bool:
        wanted = self.filter.get().lower()
        return line.level >= logging.getLevelNamesMapping()[self.level.get()] and wanted in line.text.lower()

    def _draw(self) -> None:
        def redraw() -> None:
            self.text.delete("1.0", "end")
            for line in self._lines:
                if self._passes(line):
                    self._insert(line)

        self._edit(redraw)

    def _insert(self, line: Line) -> None:
        # An entry of several lines, such as a traceback, counts as one entry of the bounded log.
        shown = " ".join(line.text.split("\n"))
        self.text.insert("end", f"{shown}\n", logging.getLevelName(line.level))

    def _edit(self, change: Callable[[], None]) -> None:
        """Changes the read-only text, and scrolls to its end if the end was visible."""
        is_at_end = self.text.yview()[1] >= 1.0
        self.text.configure(state="normal")
        change()
        self.text.configure(state="disabled")
        if is_at_end:
            self.text.see("end")
