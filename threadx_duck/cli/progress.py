"""Progress of a download on a terminal: the whole first, then the symbols in flight, on stderr."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from contextlib import suppress
from types import TracebackType
from typing import Self, TextIO, cast

from rich.cells import cell_len
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from threadx_duck.candles.times import utc_now
from threadx_duck.cli.interruption import STDERR
from threadx_duck.config.logs import ROOT
from threadx_duck.download.plan import SymbolPlan
from threadx_duck.download.results import Progress, SymbolResult
from threadx_duck.errors import STOPPED
from threadx_duck.exchange.waits import Wait
from threadx_duck.texts.visible import visible

# Each drawing costs as much CPU as storing a few hundred candles.
_DRAW_SECONDS = 0.25
_MOST_SYMBOLS = 8
_LEAST_BAR, _MOST_BAR = 8, 40
_SHOW_CURSOR = "\x1b[?25h"


class TerminalProgress(Progress):
    """A line for the whole run, one for what it waits for, and one for each symbol in flight.

    A thread of its own draws them a few times a second, so that the run only counts. Notes and log lines are printed
    above them and stay; the lines themselves are gone when the block ends.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._said: deque[str] = deque()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._refresh, daemon=True, name="progress")
        self._logs: list[tuple[logging.StreamHandler[TextIO], TextIO]] = []
        self._began_at = 0.0
        self._planned: dict[str, int] = {}
        self._in_flight: dict[str, int] = {}
        self._total = self._covered = self._rows = self._calls = self._finished = self._failed = 0
        self._wait: Wait | None = None
        self._lines_drawn = 0
        # Last, because it asks at once for what is to be drawn.
        self._live = Live(
            console=self._console,
            get_renderable=self._draw,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
        )

    def __enter__(self) -> Self:
        self._live.start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()
        for handler, stream in self._logs:
            handler.setStream(stream)
        self._live.stop()
        self._print_said()

    # The run tells

    def started(self, plans: list[SymbolPlan]) -> None:
        """Takes the minutes that are to be covered."""
        self._began_at = time.monotonic()
        self._planned = {plan.symbol: plan.minutes for plan in plans}
        self._total = sum(self._planned.values())

    def began(self, symbol: str) -> None:
        """Shows the symbol."""
        self._in_flight[symbol] = 0

    def shortened(self, symbol: str, minutes: int) -> None:
        """Takes the minutes before the listing off the totals."""
        self._planned[symbol] -= minutes
        self._total -= minutes

    def received(self, symbol: str, minutes: int, rows: int, calls: int) -> None:
        """Counts an answer."""
        self._in_flight[symbol] = self._in_flight.get(symbol, 0) + minutes
        self._covered += minutes
        self._rows += rows
        self._calls = calls
        self._wait = None

    def finished(self, result: SymbolResult) -> None:
        """Shows the symbol no longer."""
        self._in_flight.pop(result.symbol, None)
        is_failed = result.status == "failed"
        self._finished += not is_failed
        self._failed += is_failed and result.error != STOPPED

    def waiting(self, wait: Wait) -> None:
        """Shows the wait until it is over; one that is worth it also stays above."""
        self._wait = wait
        super().waiting(wait)

    def note(self, text: str) -> None:
        """Prints above the lines."""
        self.say(f"note: {visible(text)}")

    # Others tell, from any thread and from a signal's handler

    def say(self, text: str) -> None:
        """Prints a line above the lines, soon."""
        self._said.append(text)

    def write(self, text: str) -> int:
        """Takes lines of the log in place of their stream."""
        for line in text.splitlines():
            self.say(line)
        return len(text)

    def flush(self) -> None:
        """Does nothing: lines are printed soon."""

    def leave(self, text: str) -> None:
        """Writes the last line of a process that ends at once, in place of the lines."""
        up = f"\x1b[{self._lines_drawn - 1}A" if self._lines_drawn > 1 else ""
        os.write(STDERR, f"\r{up}\x1b[J{text}\n{_SHOW_CURSOR}".encode())

    # What is drawn

    def _refresh(self) -> None:
        while not self._end.wait(_DRAW_SECONDS):
            self._take_logs()
            with suppress(OSError):
                # Where the terminal has gone, the run itself notices when it writes.
                self._print_said()
                self._live.refresh()

    def _take_logs(self) -> None:
        """Has log lines for the terminal said here: written on their own, the next drawing would wipe them away."""
        for handler in logging.getLogger(ROOT).handlers:
            if (
                isinstance(handler, logging.StreamHandler)
                and not isinstance(handler, logging.FileHandler)
                and handler.stream is not self
            ):
                self._logs.append((handler, handler.setStream(cast("TextIO", self)) or handler.stream))

    def _print_said(self) -> None:
        lines: list[str] = []
        while self._said:
            lines.append(self._said.popleft())
        if lines:
            # One drawing for all; the terminal wraps long lines, so that they can be copied.
            self._console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)

    def _draw(self) -> Group:
        width, height = self._console.size
        lines: list[Text] = []
        if self._planned:
            lines += self._line("total", self._covered, self._total, self._whole(), width).wrap(self._console, width)
        wait = self._wait
        if wait is not None and wait.until > utc_now():
            lines += Text(f"waiting {wait.end}: {visible(wait.why)}", style="yellow").wrap(self._console, width)
        room = min(_MOST_SYMBOLS, height - len(lines) - 1)
        # A copy, because the run goes on meanwhile.
        shown = list(self._in_flight.items())[: max(0, room)]
        names = [visible(symbol) for symbol, _ in shown]
        widest = max(map(cell_len, [*names, "total"]))
        for name, (symbol, covered) in zip(names, shown, strict=True):
            of = self._planned.get(symbol, 0)
            padded = name + " " * (widest - cell_len(name))
            line = self._line(padded, covered, of, [f"{covered:,} of {of:,} minutes"], width)
            lines += line.wrap(self._console, width)
        # On a narrow screen a line may take two; a drawing that is higher than the screen could not be wiped away.
        del lines[max(1, height - 1) :]
        self._lines_drawn = len(lines)
        return Group(*lines)

    def _whole(self) -> list[str]:
        """Returns the figures of the whole run, the most important ones first."""
        elapsed = time.monotonic() - self._began_at
        through = self._finished + self._failed
        figures = [f"{through:,} of {len(self._planned):,} symbols"]
        if self._failed:
            figures.append(f"{self._failed:,} with errors")
        if through == len(self._planned):
            figures.append("storing")
        elif self._covered:
            left = round(elapsed * (self._total - self._covered) / self._covered)
            figures.append(f"{left // 3600}:{left // 60 % 60:02}:{left % 60:02} left")
        if elapsed:
            figures.append(f"{self._rows / elapsed:,.0f} rows/s")
        figures.append(f"{self._calls:,} requests")
        return figures

    def _line(self, name: str, covered: int, total: int, figures: list[str], width: int) -> Text:
        """Returns one line: as many figures as there is room for, whole, and a bar in the rest of it."""
        share = min(1.0, covered / total) if total else 1.0
        # 99.9 % is not 100 %.
        percent = f"{int(share * 100):3} %"
        room = width - cell_len(name) - len(percent) - 3 - _LEAST_BAR
        taken: list[str] = []
        for figure in figures:
            if len(figure) + 2 > room:
                break
            room -= len(figure) + 2
            taken.append(figure)
        if not taken:
            # Too narrow for a bar.
            return Text(f"{name} {figures[0]}")
        bar = min(_MOST_BAR, room + _LEAST_BAR)
        done = int(share * bar)
        full, empty = "━─" if self._console.encoding.startswith("utf") else "#-"
        return Text.assemble(
            f"{name} ",
            (full * done, "cyan"),
            (empty * (bar - done), "bright_black"),
            f" {percent}  {'  '.join(taken)}",
            no_wrap=True,
            overflow="crop",
        )
