"""The plan of a dry run, as a table."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Iterable
from tkinter import ttk
from typing import Any

from threadx_duck.data_manager.widgets.theme import TREE, measured, scaled
from threadx_duck.download.results import SymbolResult

_MOST_ROWS = 5_000
_COLUMNS: tuple[tuple[str, str, Any], ...] = (
    ("symbol", "DOGEUSDC0", "w"),
    ("source", "archive monthly", "w"),
    ("from", "2024-01-01 00:00", "w"),
    ("to (exclusive)", "2024-01-01 00:00", "w"),
    ("minutes", "9,999,999", "e"),
    ("requests", "requests", "e"),
    ("size", "999.9 MB", "e"),
    ("reason", "cheaper than daily files or REST for what is missing", "w"),
)


class PlanTable(ttk.Frame):
    """Lists the planned requests with their source, range, cost and reason."""

    def __init__(self, parent: tk.Misc) -> None:
        super().__init__(parent, padding=(0, 6, 0, 0))
        self.summary = ttk.Label(self, text="Tick Dry run and press Plan Selected; the plan appears here.")
        self.summary.pack(fill="x", pady=(0, 4))
        self.tree = ttk.Treeview(self, columns=[name for name, *_ in _COLUMNS], show="headings", height=5, style=TREE)
        bar = ttk.Scrollbar(self, command=self.tree.yview)
        across = ttk.Scrollbar(self, orient="horizontal", command=self.tree.xview)
        self.tree.configure(yscrollcommand=bar.set, xscrollcommand=across.set)
        across.pack(side="bottom", fill="x")
        bar.pack(side="right", fill="y")
        self.tree.pack(side="left", fill="both", expand=True)
        for name, longest, anchor in _COLUMNS:
            self.tree.heading(name, text=name, anchor=anchor)
            self.tree.column(
                name, width=measured(self, longest, name) + scaled(self, 16), anchor=anchor, stretch=name == "reason"
            )

    def show(self, results: Iterable[SymbolResult]) -> None:
        """Shows the plans of all symbols."""
        requests = [request for result in results if result.plan for request in result.plan.requests]
        self.tree.delete(*self.tree.get_children())
        for request in requests[:_MOST_ROWS]:
            values = (
                request.symbol,
                request.source.replace("_", " "),
                f"{request.wanted.start:%Y-%m-%d %H:%M}",
                f"{request.wanted.end:%Y-%m-%d %H:%M}",
                f"{request.rows:,}",
                f"{request.requests:,}",
                f"{request.bytes / 1e6:,.1f} MB",
                request.reason,
            )
            self.tree.insert("", "end", values=values)
        self.summary.configure(text=_summary(requests))


def _summary(requests: list[Any]) -> str:
    if not requests:
        return "Everything is stored already: a download would ask for nothing."
    minutes, calls, size = (sum(getattr(entry, name) for entry in requests) for name in ("rows", "requests", "bytes"))
    left_out = (
        f" The table shows the first {_MOST_ROWS:,} of {len(requests):,} ranges." if len(requests) > _MOST_ROWS else ""
    )
    cost = f"At most {minutes:,} minutes in {calls:,} requests, about {size / 1e6:,.1f} MB"
    return f"{cost}; nothing has been sent yet.{left_out}"
