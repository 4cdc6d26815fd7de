"""A window with the exchange's symbols, to choose some."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable, Sequence
from tkinter import ttk
from typing import TYPE_CHECKING

from threadx_duck.data_manager.widgets.theme import TREE, scaled

if TYPE_CHECKING:
    from threadx_duck.exchange.markets import ExchangeSymbol

_ANY = "any"
_TRADING = "TRADING"


class SymbolChooser(tk.Toplevel):
    """Filters symbols by quote asset, status and name, and adds the chosen ones to the page's list."""

    def __init__(self, owner: tk.Misc, on_choose: Callable[[list[str]], None]) -> None:
        super().__init__(owner)
        self.title("Symbols of the exchange")
        self.transient(owner.winfo_toplevel())
        self._on_choose = on_choose
        self._symbols: Sequence[ExchangeSymbol] = ()
        self.name, self.quote, self.status = (tk.StringVar(self, value) for value in ("", _ANY, _TRADING))
        body = ttk.Frame(self, padding=10)
        body.pack(fill="both", expand=True)
        self._build_filters(body)
        self._build_list(body)
        for variable in (self.name, self.quote, self.status):
            variable.trace_add("write", lambda *_: self._draw())
        self.bind("<Escape>", lambda _: self.destroy())
        window = owner.winfo_toplevel()
        x, y = window.winfo_rootx() + scaled(self, 120), window.winfo_rooty() + scaled(self, 80)
        self.geometry(f"{scaled(self, 560)}x{scaled(self, 460)}+{x}+{y}")

    def show(self, symbols: Sequence[ExchangeSymbol]) -> None:
        """Shows the symbols that the exchange lists."""
        self._symbols = symbols
        quotes = sorted({entry.quote for entry in symbols})
        statuses = sorted({entry.status for entry in symbols})
        self._quotes.configure(values=[_ANY, *quotes])
        self._statuses.configure(values=[_ANY, *statuses])
        self._draw()

    def fail(self, sentence: str) -> None:
        """Shows why the list could not be loaded."""
        self.message.configure(text=sentence)

    def choose(self) -> None:
        """Reports the chosen symbols and closes."""
        chosen = list(self.tree.selection())
        self.destroy()
        self._on_choose(chosen)

    def _build_filters(self, body: ttk.Frame) -> None:
        row = ttk.Frame(body)
        row.pack(fill="x", pady=(0, 6))
        ttk.Label(row, text="Filter").pack(side="left")
        entry = ttk.Entry(row, textvariable=self.name, width=12)
        entry.pack(side="left", padx=(6, 12), fill="x", expand=True)
        entry.focus_set()
        ttk.Label(row, text="Quote").pack(side="left")
        self._quotes = ttk.Combobox(row, textvariable=self.quote, values=[_ANY], state="readonly", width=7)
        self._quotes.pack(side="left", padx=(6, 12))
        ttk.Label(row, text="Status").pack(side="left")
        self._statuses = ttk.Combobox(
            row, textvariable=self.status, values=[_ANY, _TRADING], state="readonly", width=12
        )
        self._statuses.pack(side="left", padx=(6, 0))

    def _build_list(self, body: ttk.Frame) -> None:
        foot = ttk.Frame(body)
        foot.pack(side="bottom", fill="x", pady=(8, 0))
        self.add = ttk.Button(foot, text="Add", style="Accent.TButton", command=self.choose)
        self.add.pack(side="right")
        ttk.Button(foot, text="Close", command=self.destroy).pack(side="right", padx=6)
        self.message = ttk.Label(foot, text="Asking the exchange…", wraplength=scaled(self, 330))
        self.message.pack(side="left", fill="x", expand=True)
        self.tree = ttk.Treeview(
            body, columns=("symbol", "base", "quote", "status"), show="headings", selectmode="extended", style=TREE
        )
        bar = ttk.Scrollbar(body, command=self.tree.yview)
        self.tree.configure(yscrollcommand=bar.set)
        bar.pack(side="right", fill="y")
        self.tree.pack(side="left", fill="both", expand=True)
        for column, heading in (("symbol", "Symbol"), ("base", "Base"), ("quote", "Quote"), ("status", "Status")):
            self.tree.heading(column, text=heading, anchor="w")
            self.tree.column(column, width=scaled(self, 130 if column == "symbol" else 90))
        self.tree.bind("<Double-Button-1>", lambda _: self.choose())
        self.tree.bind("<Return>", lambda _: self.choose())

    def _draw(self) -> None:
        name, quote, status = self.name.get().upper().strip(), self.quote.get(), self.status.get()
        shown = [
            entry
            for entry in self._symbols
            if name in entry.symbol.upper() and quote in {_ANY, entry.quote} and status in {_ANY, entry.status}
        ]
        self.tree.delete(*self.tree.get_children())
        for entry in shown:
            self.tree.insert("", "end", iid=entry.symbol, values=(entry.symbol, entry.base, entry.quote, entry.status))
        self.message.configure(text=f"{len(shown):,} of {len(self._symbols):,} symbols")
