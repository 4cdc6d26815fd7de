"""The coverage map: one row per symbol, one column per month or day; a click on a cell offers its download."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from tkinter import ttk

from threadx_duck.audit.coverage import Step
from threadx_duck.candles.ranges import month_of
from threadx_duck.candles.reasons import LABELS, REASONS
from threadx_duck.data_manager.coverage.cells import Cell
from threadx_duck.data_manager.coverage.grid import CellGrid
from threadx_duck.data_manager.widgets.theme import palette_of, scaled
from threadx_duck.data_manager.widgets.tooltip import Tooltip

# Loads the days of a month, or all months if it is None.
Zoom = Callable[[datetime | None], None]
# Downloads the missing minutes of a cell; if the second argument is true, downloads all its minutes again.
Repair = Callable[[Cell, bool], None]


class CoverageMap(ttk.Frame):
    """Shows cells and what is in them, zooms into a month, and offers downloads, by pointer or by arrows and Return."""

    def __init__(self, parent: tk.Misc, on_zoom: Zoom, on_repair: Repair) -> None:
        super().__init__(parent, padding=(0, 6, 0, 0))
        self._on_zoom = on_zoom
        self._on_repair = on_repair
        self._month: datetime | None = None
        self._cells: Mapping[tuple[str, datetime], Cell] = {}
        self._build_head()
        self.grid_view = CellGrid(self, self._paint_cell)
        self.grid_view.pack(fill="both", expand=True)
        self.menu = tk.Menu(self, tearoff=False)
        self.tooltip = Tooltip(self)
        canvas = self.grid_view.canvas
        canvas.bind("<Motion>", self._point)
        canvas.bind("<Leave>", lambda _: self.tooltip.hide())
        canvas.bind("<Button-1>", self._click)
        canvas.bind("<Return>", lambda _: self._open_menu())
        canvas.bind("<space>", lambda _: self._open_menu())
        self.recolour()

    @property
    def step(self) -> Step:
        """Returns whether a cell is a month or a day."""
        return "month" if self._month is None else "day"

    @property
    def month(self) -> datetime | None:
        """Returns the month whose days are shown; None for all months."""
        return self._month

    def show(
        self,
        month: datetime | None,
        columns: Sequence[datetime],
        symbols: Sequence[str],
        cells: Mapping[tuple[str, datetime], Cell],
    ) -> None:
        """Shows the data loaded for a month, or for all months if it is None."""
        is_other = month != self._month
        self._month, self._cells = month, cells
        if month is None:
            above = [f"{column:%Y}" for column in columns]
            below = [f"{column:%m}" for column in columns]
        else:
            above = [f"{column:%B %Y}" for column in columns]
            below = [f"{column:%d}" for column in columns]
        self.grid_view.show(symbols, list(columns), above, below, reset=is_other)
        self._title.configure(text="" if month is None else f"{month:%B %Y}")
        if month is None:
            self._travel.pack_forget()
        else:
            self._travel.pack(side="left")
        self._hint.configure(text=_hint(symbols, month))

    def cell_at(self, symbol: str, start: datetime) -> Cell | None:
        """Returns the cell of a symbol that begins at a time, or None."""
        return self._cells.get((symbol, start))

    def open_menu(self, symbol: str, start: datetime, x: int = 0, y: int = 0) -> None:
        """Opens the menu of a cell at a position on the screen."""
        cell = self.cell_at(symbol, start)
        self.menu.delete(0, "end")
        if cell is not None:
            when = f"{start:%B %Y}" if self._month is None else f"{start:%Y-%m-%d}"
            download, repair = f"Download what {symbol} lacks in {when}", f"Repair {symbol} in {when}: ask again"
            self.menu.add_command(label=download, command=lambda: self._on_repair(cell, False))
            self.menu.entryconfigure(0, state="normal" if cell.needs_download else "disabled")
            self.menu.add_command(label=repair, command=lambda: self._on_repair(cell, True))
        if self._month is None:
            self.menu.add_command(label=f"Show the days of {start:%B %Y}", command=lambda: self._on_zoom(start))
        else:
            self.menu.add_command(label="Show all months", command=lambda: self._on_zoom(None))
        self.tooltip.hide()
        self.menu.tk_popup(x, y)

    def recolour(self) -> None:
        """Applies the colours of the current theme."""
        palette = palette_of(self)
        for reason, swatch in self._swatches.items():
            swatch.configure(background=getattr(palette, reason))
        self.grid_view.draw()

    def _build_head(self) -> None:
        head = ttk.Frame(self)
        head.pack(fill="x", pady=(0, 4))
        self._travel = ttk.Frame(head)
        self.back = ttk.Button(self._travel, text="All months", command=lambda: self._on_zoom(None))
        self.earlier = ttk.Button(self._travel, text="◀", width=2, command=lambda: self._turn(_month_before))
        self.later = ttk.Button(self._travel, text="▶", width=2, command=lambda: self._turn(_month_after))
        self._title = ttk.Label(self._travel, width=15, anchor="center")
        for widget in (self.back, self.earlier, self._title, self.later):
            widget.pack(side="left", padx=(0, 4))
        self._swatches: dict[str, tk.Frame] = {}
        legend = ttk.Frame(self)
        legend.pack(fill="x", side="bottom", pady=(4, 0))
        names = {"present": "stored"} | {reason: LABELS[reason].split(" by ")[0] for reason in REASONS}
        names["outage"] = "outage"
        for reason, name in names.items():
            size = scaled(self, 11)
            self._swatches[reason] = tk.Frame(legend, width=size, height=size)
            self._swatches[reason].pack(side="left", padx=(0, 4))
            ttk.Label(legend, text=name).pack(side="left", padx=(0, 12))
        self._hint = ttk.Label(head, anchor="e")
        self._hint.pack(side="right", padx=(0, 6), pady=6)

    def _paint_cell(self, symbol: str, column: datetime) -> list[tuple[float, str]]:
        """Returns the parts of a cell from top to bottom; each is a share of its height and a colour."""
        cell = self.cell_at(symbol, column)
        if cell is None or not cell.expected:
            return []
        palette = palette_of(self)
        # The absent part is always tall enough to see, even if it stands for a few minutes.
        parts = {reason: max(0.18, minutes / cell.expected) for reason, minutes in cell.absent.items()}
        total = sum(parts.values())
        if cell.present:
            squeeze = min(1.0, 0.82 / total) if total else 1.0
            parts = {reason: share * squeeze for reason, share in parts.items()}
            parts = {"present": 1.0 - sum(parts.values()), **parts}
        else:
            parts = {reason: share / total for reason, share in parts.items()}
        return [(share, getattr(palette, reason)) for reason, share in parts.items()]

    def _turn(self, step: Callable[[datetime], datetime]) -> None:
        if self._month is not None:
            self._on_zoom(step(self._month))

    def _point(self, event: tk.Event[tk.Canvas]) -> None:
        place = self.grid_view.place_at(event.x, event.y)
        cell = self.cell_at(*place) if place else None
        if cell is None:
            self.tooltip.hide()
        else:
            self.tooltip.show(cell.describe(self.step), event.x_root, event.y_root)

    def _click(self, event: tk.Event[tk.Canvas]) -> None:
        self.grid_view.canvas.focus_set()
        place = self.grid_view.place_at(event.x, event.y)
        if place is not None:
            self.grid_view.focus_cell(*place)
            self.open_menu(*place, event.x_root, event.y_root)
            return
        month = self.grid_view.column_at(event.x, event.y)
        if month is not None and self._month is None:
            self._on_zoom(month)

    def _open_menu(self) -> None:
        place = self.grid_view.focused
        if place is not None:
            self.open_menu(*place, *self.grid_view.screen_place(*place))


def _hint(symbols: Sequence[str], month: datetime | None) -> str:
    if not symbols:
        return "Nothing is stored yet: choose symbols and a period, then download."
    click = "Click a cell to download or repair it"
    return f"{click}, a month's head to see its days." if month is None else f"{click}."


def _month_before(month: datetime) -> datetime:
    return month_of(month_of(month).start - timedelta(days=1)).start


def _month_after(month: datetime) -> datetime:
    return month_of(month).end
