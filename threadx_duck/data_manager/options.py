"""The fields that say what to download: period, timeframes to validate, source, and whether to plan only."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from tkinter import ttk

from threadx_duck.candles.timeframes import TIMEFRAMES, parse_timeframe
from threadx_duck.candles.times import parse_range, utc_now
from threadx_duck.data_manager.choices import Choices
from threadx_duck.data_manager.widgets.calendar_popup import CalendarPopup
from threadx_duck.data_manager.widgets.theme import palette_of, scaled
from threadx_duck.errors import UsageError

SOURCES = ("auto", "rest", "archive")


@dataclass(frozen=True)
class Wanted:
    """The checked values of the fields. A start or end left empty is None."""

    start: str | None
    end: str | None
    timeframes: tuple[str, ...]
    source: str
    dry_run: bool
    refresh: bool


def preset_range(name: str, today: date) -> tuple[str, str]:
    """Returns the start and end that a preset writes into the fields; an end date includes its whole day (UTC)."""
    month = today.replace(day=1)
    last_month = month - timedelta(days=1)
    ranges = {
        "Last 7 days": (today - timedelta(days=6), today),
        "This month": (month, today),
        "Last month": (last_month.replace(day=1), last_month),
        "This year": (today.replace(month=1, day=1), today),
    }
    if name not in ranges:
        # Everything since the listing: the exchange had no candle before this day.
        return "2017-01-01", ""
    start, end = ranges[name]
    return start.isoformat(), end.isoformat()


PRESETS = ("Last 7 days", "This month", "Last month", "This year", "Everything")


class DateField(ttk.Frame):
    """An entry for a time, with a calendar beside it."""

    def __init__(self, parent: tk.Misc, label: str, variable: tk.StringVar) -> None:
        super().__init__(parent)
        self.variable = variable
        ttk.Label(self, text=label, width=5).pack(side="left")
        self.entry = ttk.Entry(self, textvariable=variable, width=14)
        self.entry.pack(side="left", fill="x", expand=True)
        self.button = ttk.Button(self, text="▾", width=2, command=self.open_calendar)
        self.button.pack(side="left", padx=(4, 0))
        self.entry.bind("<Alt-Down>", lambda _: self.open_calendar())

    def open_calendar(self) -> CalendarPopup:
        """Opens the calendar at the day in the entry, or at today if there is none."""
        try:
            day = date.fromisoformat(self.variable.get()[:10])
        except ValueError:
            day = utc_now().date()
        return CalendarPopup(self.entry, day, lambda chosen: self.variable.set(chosen.isoformat()))


class OptionsPanel(ttk.Frame):
    """The fields, which keep their last values; a message shows an error as soon as somebody types it."""

    def __init__(self, parent: tk.Misc, choices: Choices, on_change: Callable[[], None]) -> None:
        super().__init__(parent)
        self._on_change = on_change
        self.start = tk.StringVar(self, choices.start)
        self.end = tk.StringVar(self, choices.end)
        self.timeframes = tk.StringVar(self, choices.timeframes)
        self.source = tk.StringVar(self, choices.source if choices.source in SOURCES else SOURCES[0])
        self.dry_run = tk.BooleanVar(self, choices.dry_run)
        self.refresh = tk.BooleanVar(self, choices.refresh)
        self._build_period()
        self._build_rest()
        self.message = ttk.Label(self, wraplength=scaled(self, 216), justify="left")
        self.message.pack(fill="x", pady=(6, 0))
        for variable in (self.start, self.end, self.timeframes, self.dry_run):
            variable.trace_add("write", lambda *_: self._check())
        self._check()

    def read(self) -> Wanted:
        """Returns the values of the fields. Raises `UsageError` for a time or timeframe that cannot be read."""
        start, end = self.start.get().strip() or None, self.end.get().strip() or None
        parse_range(start, end)
        labels = tuple(label.strip() for label in self.timeframes.get().split(",") if label.strip())
        for label in labels:
            parse_timeframe(label)
        return Wanted(start, end, labels, self.source.get(), self.dry_run.get(), self.refresh.get())

    def write(self, choices: Choices) -> None:
        """Copies the fields into the remembered choices."""
        choices.start, choices.end = self.start.get(), self.end.get()
        choices.timeframes, choices.source = self.timeframes.get(), self.source.get()
        choices.dry_run, choices.refresh = self.dry_run.get(), self.refresh.get()

    def choose_preset(self, name: str) -> None:
        """Writes a preset into the fields."""
        start, end = preset_range(name, utc_now().date())
        self.start.set(start)
        self.end.set(end)

    def recolour(self) -> None:
        """Applies the colours of the current theme."""
        self._check()

    def _build_period(self) -> None:
        ttk.Label(self, text="Period (UTC)", style="Heading.TLabel").pack(anchor="w")
        self.start_field = DateField(self, "Start", self.start)
        self.end_field = DateField(self, "End", self.end)
        for field in (self.start_field, self.end_field):
            field.pack(fill="x", pady=(4, 0))
        self.preset = ttk.Menubutton(self, text="Preset")
        menu = tk.Menu(self.preset, tearoff=False)
        for name in PRESETS:
            menu.add_command(label=name, command=lambda name=name: self.choose_preset(name))  # type: ignore[misc]
        self.preset["menu"] = menu
        self.preset.pack(fill="x", pady=(6, 0))

    def _build_rest(self) -> None:
        ttk.Label(self, text="Timeframes to validate", style="Heading.TLabel").pack(anchor="w", pady=(12, 0))
        row = ttk.Frame(self)
        row.pack(fill="x", pady=(4, 0))
        ttk.Entry(row, textvariable=self.timeframes, width=12).pack(side="left", fill="x", expand=True)
        pick = ttk.Menubutton(row, text="…", width=2)
        menu = tk.Menu(pick, tearoff=False)
        for label in TIMEFRAMES:
            if label != "1m":
                menu.add_command(label=label, command=lambda label=label: self._toggle(label))  # type: ignore[misc]
        pick["menu"] = menu
        pick.pack(side="left", padx=(4, 0))
        row = ttk.Frame(self)
        row.pack(fill="x", pady=(12, 0))
        ttk.Label(row, text="Source", width=7).pack(side="left")
        self.source_box = ttk.Combobox(row, textvariable=self.source, values=SOURCES, state="readonly", width=8)
        self.source_box.pack(side="left", fill="x", expand=True)
        ttk.Checkbutton(self, text="Dry run: show the plan", variable=self.dry_run).pack(anchor="w", pady=(8, 0))
        ttk.Checkbutton(self, text="Ask again what is stored", variable=self.refresh).pack(anchor="w", pady=(2, 0))

    def _toggle(self, label: str) -> None:
        labels = [entry.strip() for entry in self.timeframes.get().split(",") if entry.strip()]
        chosen = [entry for entry in labels if entry != label] if label in labels else [*labels, label]
        order = list(TIMEFRAMES)
        chosen.sort(key=lambda entry: order.index(entry) if entry in order else len(order))
        self.timeframes.set(", ".join(chosen))

    def _check(self) -> None:
        palette = palette_of(self)
        try:
            wanted = self.read()
        except UsageError as error:
            self.message.configure(text=str(error), foreground=palette.error)
        else:
            self.message.configure(text=_summary(wanted), foreground=palette.faint)
        self._on_change()


def _summary(wanted: Wanted) -> str:
    start = "from the last stored minute, or the listing," if wanted.start is None else f"from {wanted.start}"
    end = "to the last closed minute" if wanted.end is None else f"to {wanted.end}"
    return f"{start} {end}.".capitalize()
