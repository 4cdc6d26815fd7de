"""The list of symbols: what is stored of each, how its download goes, and which are chosen."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from tkinter import ttk
from typing import Any

from threadx_duck.audit.coverage import show_percent
from threadx_duck.candles.times import utc_now
from threadx_duck.data_manager.widgets.theme import TREE, measured, palette_of, scaled, style_tables
from threadx_duck.data_manager.widgets.tooltip import Tooltip

# Name, heading, the longest usual text, alignment.
_COLUMNS: tuple[tuple[str, str, str, Any], ...] = (
    ("symbol", "Symbol", "DOGEUSDC0", "w"),
    ("first", "First candle", "2024-01-01", "w"),
    ("last", "Last candle", "2024-01-01 00:00", "w"),
    ("coverage", "Coverage", "100.00 %", "e"),
    ("gaps", "Gaps", "99,999", "e"),
    ("asked", "Last ingest", "2024-01-01", "w"),
    ("state", "State", "not stored yet", "w"),
)
_GIVING_WAY = ("asked", "first")
# Space between a number at the right of its column and the text of the next column.
_GAP = "  "
_NOT_STORED = "not stored yet"


class SymbolList(ttk.Frame):
    """Symbols with a filter box. Ctrl and Shift choose several, Ctrl+A chooses all shown."""

    def __init__(self, parent: tk.Misc, on_select: Callable[[], None]) -> None:
        super().__init__(parent)
        self._rows: dict[str, Mapping[str, Any]] = {}
        self._states: dict[str, tuple[str, str]] = {}
        # Width of the widest state, in pixels.
        self._widest = 0
        self._order: tuple[str, bool] = ("symbol", False)
        self.filter = tk.StringVar(self)
        self.filter.trace_add("write", lambda *_: self._draw())
        self._build_head()
        self.tree = self._build_tree(on_select)
        self._tooltip = Tooltip(self.tree)
        self.tree.bind("<Configure>", lambda _: self._fit_columns())
        self.recolour()

    def _build_head(self) -> None:
        head = ttk.Frame(self)
        head.pack(fill="x", pady=(0, 6))
        ttk.Label(head, text="Filter").pack(side="left", padx=(0, 6))
        self.filter_box = ttk.Entry(head, textvariable=self.filter, width=12)
        self.filter_box.pack(side="left", fill="x", expand=True)
        ttk.Button(head, text="All shown", command=self.select_all_shown).pack(side="left", padx=(6, 0))
        ttk.Button(head, text="None", command=lambda: self.select(())).pack(side="left", padx=(6, 0))

    def _build_tree(self, on_select: Callable[[], None]) -> ttk.Treeview:
        style_tables(self)
        frame = ttk.Frame(self)
        frame.pack(fill="both", expand=True)
        tree = ttk.Treeview(
            frame, columns=[name for name, *_ in _COLUMNS], show="headings", selectmode="extended", height=6, style=TREE
        )
        bar = ttk.Scrollbar(frame, command=tree.yview)
        tree.configure(yscrollcommand=bar.set)
        bar.pack(side="right", fill="y")
        tree.pack(side="left", fill="both", expand=True)
        for name, heading, longest, anchor in _COLUMNS:
            width = measured(self, longest, heading) + scaled(self, 16)
            heading += _GAP if anchor == "e" else ""
            tree.heading(name, text=heading, anchor=anchor, command=lambda name=name: self._sort(name))  # type: ignore[misc]
            tree.column(name, width=width, anchor=anchor, stretch=name == "state")
        tree.bind("<<TreeviewSelect>>", lambda _: on_select())
        tree.bind("<Control-a>", lambda _: self.select_all_shown())
        tree.bind("<Motion>", self._point)
        tree.bind("<Leave>", lambda _: self._tooltip.hide())
        return tree

    @property
    def selected(self) -> list[str]:
        """Returns the chosen symbols, in the order shown."""
        chosen = set(self.tree.selection())
        return [symbol for symbol in self.tree.get_children() if symbol in chosen]

    @property
    def shown(self) -> list[str]:
        """Returns the symbols that match the filter."""
        return list(self.tree.get_children())

    @property
    def symbols(self) -> list[str]:
        """Returns all symbols, whether or not they match the filter."""
        return sorted(self._rows)

    def show(self, rows: Iterable[Mapping[str, Any]], added: Iterable[str]) -> None:
        """Shows the stored symbols (``rows``) and those without candles (``added``); keeps the selection."""
        self._rows = {symbol: {} for symbol in added} | {row["symbol"]: row for row in rows}
        self._draw()

    def add(self, symbols: Iterable[str]) -> None:
        """Adds symbols that have no stored candles yet."""
        self._rows |= {symbol: {} for symbol in symbols}
        self._draw()

    def select(self, symbols: Iterable[str]) -> None:
        """Chooses those of these symbols that are shown, and no others."""
        shown = set(self.shown)
        self.tree.selection_set([symbol for symbol in symbols if symbol in shown])

    def select_all_shown(self) -> str:
        """Chooses every symbol that matches the filter."""
        self.tree.selection_set(self.shown)
        return "break"

    def set_state(self, symbol: str, text: str, kind: str = "") -> None:
        """Shows a text about the download in a symbol's row; the kind ``failed`` or ``warning`` colours it."""
        self._states[symbol] = (text, kind)
        self._widest = max(self._widest, measured(self, text))
        if self.tree.exists(symbol):
            self.tree.set(symbol, "state", text)
            self.tree.item(symbol, tags=[kind] if kind else [])
            self._fit_columns()

    def clear_states(self) -> None:
        """Clears the texts of earlier downloads."""
        self._states.clear()
        self._widest = 0
        self._draw()
        self._fit_columns()

    def state_of(self, symbol: str) -> str:
        """Returns the text about the download in a symbol's row."""
        return self._states.get(symbol, ("", ""))[0]

    def recolour(self) -> None:
        """Applies the colours of the current theme."""
        palette = palette_of(self)
        style_tables(self)
        self.tree.tag_configure("failed", foreground=palette.error)
        self.tree.tag_configure("warning", foreground=palette.warning)

    def _draw(self) -> None:
        chosen = set(self.tree.selection())
        terms = self.filter.get().upper().split()
        shown = [symbol for symbol in self._rows if all(term in symbol.upper() for term in terms)]
        column, backwards = self._order
        shown.sort()
        shown.sort(key=lambda symbol: _sort_key(symbol, self._rows[symbol], column), reverse=backwards)
        self.tree.delete(*self.tree.get_children())
        for symbol in shown:
            text, kind = self._states.get(symbol, ("" if self._rows[symbol] else _NOT_STORED, ""))
            values = (*_texts(self._rows[symbol]), text)
            self.tree.insert("", "end", iid=symbol, values=(symbol, *values), tags=[kind] if kind else [])
        self.tree.selection_set([symbol for symbol in shown if symbol in chosen])

    def _fit_columns(self) -> None:
        """Hides dates if a narrow window would otherwise cut off the texts about the download."""
        columns = [name for name, *_ in _COLUMNS]
        if self._widest:
            for name in _GIVING_WAY:
                others = sum(int(self.tree.column(other, "width")) for other in columns if other != "state")
                if self.tree.winfo_width() - others < self._widest + scaled(self, 12):
                    columns.remove(name)
        if list(self.tree["displaycolumns"]) != columns:
            self.tree.configure(displaycolumns=columns)

    def _sort(self, column: str) -> None:
        before, backwards = self._order
        self._order = (column, column == before and not backwards)
        self._draw()

    def _point(self, event: tk.Event[ttk.Treeview]) -> None:
        """Shows the whole text of a row's state, which its column may cut off."""
        symbol = self.tree.identify_row(event.y)
        is_state = self.tree.identify_column(event.x) == f"#{len(self.tree['displaycolumns'])}"
        if symbol and is_state and self.state_of(symbol):
            self._tooltip.show(f"{symbol}: {self.state_of(symbol)}", event.x_root, event.y_root)
        else:
            self._tooltip.hide()


def _texts(row: Mapping[str, Any]) -> tuple[str, ...]:
    if not row:
        return ("",) * (len(_COLUMNS) - 2)
    return (
        f"{row['first_open_time']:%Y-%m-%d}",
        f"{row['last_open_time']:%Y-%m-%d %H:%M}",
        f"{show_percent(row['complete'])}{_GAP}",
        f"{row['gaps']:,}{_GAP}",
        _recent(row["last_requested_at"]),
    )


def _recent(moment: datetime | None) -> str:
    """Returns the time of day if the moment is today (UTC), else its date."""
    if moment is None:
        return ""
    return f"{moment:%H:%M}" if moment.date() == utc_now().date() else f"{moment:%Y-%m-%d}"


def _sort_key(symbol: str, row: Mapping[str, Any], column: str) -> Any:
    if column == "symbol":
        return symbol
    if column == "state":
        return not row, symbol
    if not row:
        return (0, 0)
    value = {
        "first": row["first_open_time"],
        "last": row["last_open_time"],
        "coverage": row["candles"] / row["expected"],
        "gaps": row["gaps"],
        "asked": row["last_requested_at"] or datetime.min,
    }[column]
    return (1, value)
