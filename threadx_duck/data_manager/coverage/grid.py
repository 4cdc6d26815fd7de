"""A large grid of cells with fixed heads that draws only its visible part."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import groupby
from tkinter import font as tkfont
from tkinter import ttk
from typing import Any

from threadx_duck.data_manager.widgets.theme import palette_of, scaled

# Returns the parts of a cell from top to bottom; each is a share of its height and a colour.
Paint = Callable[[str, datetime], list[tuple[float, str]]]

_MOVES = {"<Left>": (0, -1), "<Right>": (0, 1), "<Up>": (-1, 0), "<Down>": (1, 0)}


class CellGrid(ttk.Frame):
    """Rows are symbols, columns are times. The cells scroll; both heads stay in place."""

    def __init__(self, parent: tk.Misc, paint: Paint) -> None:
        super().__init__(parent)
        self._paint = paint
        self._font = tkfont.nametofont("TkDefaultFont", self)
        self._rows: Sequence[str] = ()
        self._columns: Sequence[datetime] = ()
        self._heads: tuple[Sequence[str], Sequence[str]] = ((), ())
        self._top = self._left = 0
        self._focus: tuple[int, int] | None = None
        self.canvas = tk.Canvas(self, highlightthickness=1, height=scaled(self, 120), takefocus=True)
        self._down = ttk.Scrollbar(self, command=lambda *to: self._scroll("top", *to))
        self._across = ttk.Scrollbar(self, orient="horizontal", command=lambda *to: self._scroll("left", *to))
        self.canvas.grid(row=0, column=0, sticky="nsew")
        self._down.grid(row=0, column=1, sticky="ns")
        self._across.grid(row=1, column=0, sticky="ew")
        self.rowconfigure(0, weight=1)
        self.columnconfigure(0, weight=1)
        self._bind()

    @property
    def focused(self) -> tuple[str, datetime] | None:
        """Returns the symbol and time of the cell that has the keyboard focus, or None."""
        if self._focus is None or self._focus[0] >= len(self._rows) or self._focus[1] >= len(self._columns):
            return None
        return self._rows[self._focus[0]], self._columns[self._focus[1]]

    def show(
        self,
        rows: Sequence[str],
        columns: Sequence[datetime],
        above: Sequence[str],
        below: Sequence[str],
        *,
        reset: bool,
    ) -> None:
        """Shows these cells; ``reset`` scrolls to the newest. ``above`` and ``below`` are two lines of column heads."""
        is_longer = len(columns) > len(self._columns)
        self._rows, self._columns, self._heads = rows, columns, (above, below)
        if reset or is_longer:
            self._left = max(0, len(columns) - self._fit()[1])
            self._focus = None
        self.draw()

    def draw(self) -> None:
        """Draws the visible part."""
        palette = palette_of(self)
        canvas = self.canvas
        canvas.delete("all")
        canvas.configure(background=palette.background, highlightbackground=palette.line, highlightcolor=palette.accent)
        height, width = self._fit()
        self._top = max(0, min(self._top, len(self._rows) - height))
        self._left = max(0, min(self._left, len(self._columns) - width))
        rows = range(self._top, min(len(self._rows), self._top + height))
        columns = range(self._left, min(len(self._columns), self._left + width))
        self._draw_heads(columns, palette)
        for row in rows:
            y = self._row_y(row) + self._cell[1] // 2
            canvas.create_text(
                self._head[0] - 8, y, text=self._rows[row], anchor="e", fill=palette.text, font=self._font
            )
            for column in columns:
                self._draw_cell(row, column, palette)
        self._set_bar(self._down, self._top, height, len(self._rows))
        self._set_bar(self._across, self._left, width, len(self._columns))

    def place_at(self, x: int, y: int) -> tuple[str, datetime] | None:
        """Returns the symbol and time of the cell at a position on the canvas, or None."""
        column = (x - self._head[0]) // self._cell[0] + self._left
        row = (y - self._head[1]) // self._cell[1] + self._top
        if x < self._head[0] or y < self._head[1] or row >= len(self._rows) or column >= len(self._columns):
            return None
        return self._rows[row], self._columns[column]

    def column_at(self, x: int, y: int) -> datetime | None:
        """Returns the time of the column whose head is at a position on the canvas, or None."""
        column = (x - self._head[0]) // self._cell[0] + self._left
        return (
            self._columns[column] if x >= self._head[0] and y < self._head[1] and column < len(self._columns) else None
        )

    def middle_of(self, symbol: str, column: datetime) -> tuple[int, int]:
        """Returns the position of the middle of a visible cell on the canvas."""
        x = self._column_x(self._columns.index(column)) + self._cell[0] // 2
        return x, self._row_y(self._rows.index(symbol)) + self._cell[1] // 2

    def screen_place(self, symbol: str, column: datetime) -> tuple[int, int]:
        """Returns the position of the middle of a visible cell on the screen."""
        x, y = self.middle_of(symbol, column)
        return self.canvas.winfo_rootx() + x, self.canvas.winfo_rooty() + y

    def focus_cell(self, symbol: str, column: datetime) -> None:
        """Gives a cell the keyboard focus."""
        self._focus = (self._rows.index(symbol), self._columns.index(column))
        self.draw()

    def _bind(self) -> None:
        canvas = self.canvas
        canvas.bind("<Configure>", lambda _: self.draw())
        canvas.bind("<FocusIn>", lambda _: self._move(0, 0))
        for key, (down, across) in _MOVES.items():
            canvas.bind(key, lambda _, down=down, across=across: self._move(down, across))  # type: ignore[misc]
        canvas.bind("<MouseWheel>", lambda event: self._scroll("top", "scroll", -1 if event.delta > 0 else 1, "units"))
        canvas.bind("<Button-4>", lambda _: self._scroll("top", "scroll", -1, "units"))
        canvas.bind("<Button-5>", lambda _: self._scroll("top", "scroll", 1, "units"))
        for key, step in {"<Shift-MouseWheel>": 0, "<Shift-Button-4>": -3, "<Shift-Button-5>": 3}.items():
            canvas.bind(
                key,
                lambda event, step=step: self._scroll(  # type: ignore[misc]
                    "left", "scroll", step or (-3 if event.delta > 0 else 3), "units"
                ),
            )

    @property
    def _cell(self) -> tuple[int, int]:
        """Returns the width and height of a cell, in pixels."""
        room = (self.canvas.winfo_width() - self._head[0] - 4) // max(1, len(self._columns))
        least = self._font.measure("00") + 2
        width = max(least, min(room, least + scaled(self, 8)))
        return width, self._font.metrics("linespace") + scaled(self, 7)

    @property
    def _head(self) -> tuple[int, int]:
        """Returns the width of the symbols on the left and the height of the times above, in pixels."""
        longest = max((self._font.measure(symbol) for symbol in self._rows), default=0)
        return max(scaled(self, 80), min(longest, scaled(self, 220)) + 20), 2 * self._font.metrics("linespace") + 8

    def _fit(self) -> tuple[int, int]:
        """Returns how many rows and columns fit."""
        (head_width, head_height), (width, height) = self._head, self._cell
        return (
            max(1, (self.canvas.winfo_height() - head_height) // height),
            max(1, (self.canvas.winfo_width() - head_width - 4) // width),
        )

    def _row_y(self, row: int) -> int:
        return self._head[1] + (row - self._top) * self._cell[1]

    def _column_x(self, column: int) -> int:
        return self._head[0] + (column - self._left) * self._cell[0]

    def _draw_heads(self, columns: range, palette: Any) -> None:
        above, below = self._heads
        line = self._font.metrics("linespace")
        for name, group in groupby(columns, key=lambda column: above[column]):
            first = next(group)
            x = self._column_x(first) + 2
            self.canvas.create_text(x, 2, text=name, anchor="nw", fill=palette.text, font=self._font)
        for column in columns:
            x = self._column_x(column) + self._cell[0] // 2
            self.canvas.create_text(x, 2 + line, text=below[column], anchor="n", fill=palette.faint, font=self._font)

    def _draw_cell(self, row: int, column: int, palette: Any) -> None:
        left, top = self._column_x(column) + 1, self._row_y(row) + 1
        right, bottom = left + self._cell[0] - 2, top + self._cell[1] - 2
        y = float(top)
        for share, colour in self._paint(self._rows[row], self._columns[column]):
            until = y + share * (bottom - top)
            self.canvas.create_rectangle(left, round(y), right, round(until), fill=colour, width=0)
            y = until
        if (row, column) == self._focus:
            self.canvas.create_rectangle(left, top, right, bottom, outline=palette.accent, width=2)

    def _move(self, down: int, across: int) -> None:
        if not self._rows or not self._columns:
            return
        height, width = self._fit()
        row, column = self._focus or (self._top, min(len(self._columns), self._left + width) - 1)
        row = max(0, min(len(self._rows) - 1, row + down))
        column = max(0, min(len(self._columns) - 1, column + across))
        self._focus = (row, column)
        self._top = max(row - height + 1, min(self._top, row))
        self._left = max(column - width + 1, min(self._left, column))
        self.draw()

    def _scroll(self, side: str, how: str, amount: Any, unit: str = "") -> None:
        """Scrolls as far as the scrollbar or the wheel asks."""
        total = len(self._rows if side == "top" else self._columns)
        fit = self._fit()[0 if side == "top" else 1]
        now = self._top if side == "top" else self._left
        if how == "moveto":
            now = round(float(amount) * total)
        else:
            now += int(amount) * (fit if unit == "pages" else 1)
        now = max(0, min(now, total - fit))
        if side == "top":
            self._top = now
        else:
            self._left = now
        self.draw()

    @staticmethod
    def _set_bar(bar: ttk.Scrollbar, first: int, fit: int, total: int) -> None:
        bar.set(first / total if total else 0.0, min(1.0, (first + fit) / total) if total else 1.0)
