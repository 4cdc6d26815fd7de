"""A calendar that opens beside a field, to choose a day."""

from __future__ import annotations

import calendar
import tkinter as tk
from collections.abc import Callable
from datetime import date, timedelta
from tkinter import ttk

_WEEKS = 6
_MOVES = {"<Left>": -1, "<Right>": 1, "<Up>": -7, "<Down>": 7}


class CalendarPopup(tk.Toplevel):
    """One month. Arrows, Page Up and Page Down move; Return or a click chooses; Escape closes."""

    def __init__(self, owner: tk.Widget, day: date, on_choose: Callable[[date], None]) -> None:
        super().__init__(owner)
        self.title("Choose a day")
        self.transient(owner.winfo_toplevel())
        self.resizable(width=False, height=False)
        self.day = day
        self._on_choose = on_choose
        body = ttk.Frame(self, padding=8)
        body.pack(fill="both", expand=True)
        ttk.Button(body, text="◀", width=3, command=lambda: self._turn(-1)).grid(row=0, column=0)
        self._title = ttk.Label(body, anchor="center")
        self._title.grid(row=0, column=1, columnspan=5, sticky="ew")
        ttk.Button(body, text="▶", width=3, command=lambda: self._turn(1)).grid(row=0, column=6)
        for column, name in enumerate(calendar.day_abbr):
            ttk.Label(body, text=name[:2], anchor="center").grid(row=1, column=column, sticky="ew", pady=4)
        self.days = [ttk.Button(body, width=3) for _ in range(7 * _WEEKS)]
        for index, button in enumerate(self.days):
            button.grid(row=2 + index // 7, column=index % 7, padx=1, pady=1)
        self._bind_keys()
        self._draw()
        self.geometry(f"+{owner.winfo_rootx()}+{owner.winfo_rooty() + owner.winfo_height()}")

    def choose(self, day: date) -> None:
        """Reports the chosen day and closes."""
        self.destroy()
        self._on_choose(day)

    def _bind_keys(self) -> None:
        for key, days in _MOVES.items():
            self.bind(key, lambda _, days=days: self._move(timedelta(days)))  # type: ignore[misc]
        self.bind("<Prior>", lambda _: self._turn(-1))
        self.bind("<Next>", lambda _: self._turn(1))
        self.bind("<Return>", lambda _: self.choose(self.day))
        self.bind("<Escape>", lambda _: self.destroy())

    def _move(self, step: timedelta) -> None:
        try:
            self.day += step
        except OverflowError:
            return
        self._draw()

    def _turn(self, months: int) -> None:
        month = self.day.year * 12 + self.day.month - 1 + months
        year, month = divmod(month, 12)
        if date.min.year <= year <= date.max.year:
            last = calendar.monthrange(year, month + 1)[1]
            self.day = date(year, month + 1, min(self.day.day, last))
            self._draw()

    def _draw(self) -> None:
        self._title.configure(text=f"{self.day:%B %Y}")
        first = self.day.replace(day=1)
        start = first.toordinal() - first.weekday()
        for index, button in enumerate(self.days):
            ordinal = start + index
            if not 1 <= ordinal <= date.max.toordinal():
                button.grid_remove()
                continue
            day = date.fromordinal(ordinal)
            button.grid()
            button.configure(
                text=str(day.day),
                style="Accent.TButton" if day == self.day else "TButton",
                command=lambda day=day: self.choose(day),
            )
            button.state(["!disabled" if day.month == self.day.month else "disabled"])
            if day == self.day:
                button.focus_set()
