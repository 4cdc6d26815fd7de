"""The total of a running download: a bar, rows per second, time left, and the button that stops it."""

from __future__ import annotations

import time
import tkinter as tk
from collections.abc import Callable, Sequence
from tkinter import ttk

from threadx_duck.download.plan import SymbolPlan

_STEPS = 10


class Tally:
    """Counts the minutes, rows and requests of a download. No Tk here."""

    def __init__(self, plans: Sequence[SymbolPlan]) -> None:
        self.planned = {plan.symbol: plan.minutes for plan in plans}
        self.covered = dict.fromkeys(self.planned, 0)
        self.rows = dict.fromkeys(self.planned, 0)
        self.calls = 0
        self._began = time.monotonic()

    def add(self, symbol: str, minutes: int, rows: int, calls: int) -> None:
        """Counts one answer."""
        self.covered[symbol] = min(self.planned[symbol], self.covered[symbol] + minutes)
        self.rows[symbol] += rows
        self.calls = calls

    def finish(self, symbol: str) -> None:
        """Notes that a symbol is finished."""
        self.covered[symbol] = self.planned[symbol]

    def share(self, symbol: str | None = None) -> float:
        """Returns the finished share of one symbol or of all, from 0 to 1."""
        planned, covered = (
            (sum(self.planned.values()), sum(self.covered.values()))
            if symbol is None
            else (self.planned[symbol], self.covered[symbol])
        )
        return covered / planned if planned else 1.0

    def describe(self, symbol: str) -> str:
        """Returns the progress of one symbol as a bar made of characters."""
        share = self.share(symbol)
        full = int(share * _STEPS)
        return f"{share:4.0%} {'█' * full}{'░' * (_STEPS - full)} {self.rows[symbol]:,} rows"

    def describe_total(self) -> str:
        """Returns rows, rows per second, requests, and the time left at that rate."""
        rows, seconds = sum(self.rows.values()), time.monotonic() - self._began
        rate = rows / seconds if seconds > 0 else 0.0
        left = sum(self.planned.values()) - sum(self.covered.values())
        parts = [f"{rows:,} rows", f"{rate:,.0f} rows/s", f"{self.calls:,} requests"]
        if rate and left:
            parts.append(f"{_duration(left / rate)} left")
        return "  ·  ".join(parts)


class ProgressStrip(ttk.Frame):
    """The bottom line of the page."""

    def __init__(self, parent: tk.Misc, on_cancel: Callable[[], None]) -> None:
        super().__init__(parent)
        self.bar = ttk.Progressbar(self, maximum=1.0, length=160)
        self.bar.pack(side="left", padx=(0, 10))
        self.cancel = ttk.Button(self, text="Cancel", command=on_cancel, state="disabled")
        self.cancel.pack(side="right")
        self.label = ttk.Label(self, anchor="w")
        self.label.pack(side="left", fill="x", expand=True)

    def say(self, text: str) -> None:
        """Shows a sentence beside the bar."""
        self.label.configure(text=text)

    def set_running(self, *, running: bool) -> None:
        """Enables the cancel button while a download runs, else disables it."""
        self.cancel.state(["!disabled" if running else "disabled"])
        if not running:
            self.bar.stop()
            self.bar.configure(mode="determinate")

    def show(self, tally: Tally) -> None:
        """Advances the bar."""
        self.bar.configure(value=tally.share())
        self.say(tally.describe_total())


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"
