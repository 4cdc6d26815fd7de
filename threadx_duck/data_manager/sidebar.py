"""The left side of the page: the box that adds symbols, the fields of a download, and the buttons."""

from __future__ import annotations

import tkinter as tk
from tkinter import ttk
from typing import Protocol

from threadx_duck.candles.timeframes import TIMEFRAMES
from threadx_duck.data_manager.choices import Choices
from threadx_duck.data_manager.options import OptionsPanel
from threadx_duck.data_manager.widgets.theme import scaled


class Actions(Protocol):
    """The actions behind the buttons."""

    def download_selected(self) -> None:
        """Downloads the chosen symbols, or shows the plan."""

    def add_symbol(self) -> None:
        """Adds the symbol in the box to the list."""

    def choose_symbols(self) -> object:
        """Shows the exchange's symbols to choose from."""

    def open_chart(self) -> None:
        """Shows the chart of the chosen symbol."""


class Sidebar(ttk.Frame):
    """The fields and the buttons."""

    def __init__(self, parent: tk.Misc, actions: Actions, choices: Choices) -> None:
        super().__init__(parent, width=scaled(parent, 232))
        self._chosen = 0
        self._is_running = False
        self.new_symbol = tk.StringVar(self)
        known = choices.chart_timeframe in TIMEFRAMES
        self.chart_timeframe = tk.StringVar(self, choices.chart_timeframe if known else "1h")
        self._build_symbol(actions)
        self.options = OptionsPanel(self, choices, self._draw)
        self.download = ttk.Button(self, style="Accent.TButton", command=actions.download_selected)
        self._build_chart(actions)
        self.download.pack(side="bottom", fill="x", pady=(10, 0))
        self.options.pack(fill="both", expand=True)
        self._draw()

    def show(self, chosen: int, *, is_running: bool) -> None:
        """Enables the buttons that make sense for this number of chosen symbols, and shows the number."""
        self._chosen, self._is_running = chosen, is_running
        self._draw()

    def _build_symbol(self, actions: Actions) -> None:
        ttk.Label(self, text="Add symbols", style="Heading.TLabel").pack(anchor="w")
        row = ttk.Frame(self)
        row.pack(fill="x", pady=(4, 6))
        self.symbol_box = ttk.Entry(row, textvariable=self.new_symbol, width=10)
        self.symbol_box.pack(side="left", fill="x", expand=True)
        self.symbol_box.bind("<Return>", lambda _: actions.add_symbol())
        ttk.Button(row, text="Add", width=4, command=actions.add_symbol).pack(side="left", padx=(4, 0))
        browse = ttk.Button(self, text="Browse the exchange…", command=actions.choose_symbols)
        browse.pack(fill="x", pady=(0, 12))

    def _build_chart(self, actions: Actions) -> None:
        row = ttk.Frame(self)
        row.pack(side="bottom", fill="x", pady=(8, 0))
        self.chart = ttk.Button(row, text="Chart", command=actions.open_chart)
        self.chart.pack(side="left", fill="x", expand=True)
        ttk.Combobox(row, textvariable=self.chart_timeframe, values=list(TIMEFRAMES), state="readonly", width=5).pack(
            side="left", padx=(4, 0)
        )

    def _draw(self) -> None:
        if not hasattr(self, "download") or not hasattr(self, "options"):
            return
        what = "Plan Selected" if self.options.dry_run.get() else "Download Selected"
        self.download.configure(text=f"{what} ({self._chosen})")
        self.download.state(["disabled" if self._is_running or not self._chosen else "!disabled"])
        self.chart.state(["!disabled" if self._chosen == 1 else "disabled"])
