"""Fits rows into a width: as a table, with fewer columns, or as one record below the other. Cuts nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from typing import NamedTuple

from rich.cells import cell_len

from threadx_duck.cli.screen import fold_line, pad

_WIDE_GAP, _NARROW_GAP = 3, 2

# A cell is folded down to this width, or to its longest word; a time is narrower.
_LEAST_TEXT = 24

# Makes a text that means trouble stand out.
Paint = Callable[[str], str]


class Cell(NamedTuple):
    """What a row shows in a column."""

    text: str
    is_alarm: bool = False


@dataclass(frozen=True)
class Column:
    """A column with its cells; they fold between words, so that a number, a time or a symbol never does."""

    name: str
    cells: Sequence[Cell]
    is_number: bool = False

    @cached_property
    def width(self) -> int:
        """The columns of a terminal that the widest cell takes."""
        return max(cell_len(text) for text in (self.name, *(cell.text for cell in self.cells)))

    @cached_property
    def least(self) -> int:
        """The same after folding."""
        words = (word for cell in self.cells for word in cell.text.split(" "))
        return max(min(self.width, _LEAST_TEXT), cell_len(self.name), *map(cell_len, words), 0)


def choose_columns(columns: Sequence[Column], falling: Sequence[str], width: int | None) -> list[Column] | None:
    """Returns the columns that fit, the more important first; None if not even those fit that must not fall away.

    ``falling`` names the columns that may, the least important first.
    """
    kept = {column.name for column in columns} - set(falling)
    if not _fits([column for column in columns if column.name in kept], width):
        return None
    for name in reversed(falling):
        if _fits([column for column in columns if column.name in kept | {name}], width):
            kept |= {name}
    return [column for column in columns if column.name in kept]


def table_lines(columns: Sequence[Column], width: int | None, paint: Paint) -> list[str]:
    """A heading, a rule and a line a row, or several where a text is folded."""
    widths, gap = _widths(columns, width)
    heads = [Cell(column.name) for column in columns]
    lines = _row_lines(columns, heads, widths, gap, str)
    lines.append("─" * (sum(widths) + gap * (len(widths) - 1)))
    for row in zip(*(column.cells for column in columns), strict=True):
        lines += _row_lines(columns, row, widths, gap, paint)
    return lines


def record_lines(columns: Sequence[Column], width: int, paint: Paint, numbers: Sequence[str]) -> list[str]:
    """A line a value, and before each record its number, unless there is only one."""
    names = max(cell_len(column.name) for column in columns)
    lines = []
    for position, number in enumerate(numbers):
        if len(numbers) > 1:
            lines.append(f"─── {number} ───")
        for column in columns:
            cell = column.cells[position]
            text = Cell(cell.text.strip(" "), cell.is_alarm)
            lines += _value_lines(pad(column.name, names), text, width, paint)
    return lines


def _value_lines(name: str, cell: Cell, width: int, paint: Paint) -> list[str]:
    beside = cell_len(name) + _NARROW_GAP
    if beside + cell_len(cell.text) <= width:
        return [f"{name}{' ' * _NARROW_GAP}{_painted(cell, cell.text, paint)}".rstrip(" ")]
    margin = " " * _NARROW_GAP
    return [name.rstrip(" "), *(margin + line for line in fold_line(cell.text, width - _NARROW_GAP))]


def _fits(columns: Sequence[Column], width: int | None) -> bool:
    least = sum(column.least for column in columns) + _NARROW_GAP * (len(columns) - 1)
    return bool(columns) and (width is None or least <= width)


def _widths(columns: Sequence[Column], width: int | None) -> tuple[list[int], int]:
    """The width of each column, the texts made narrower if need be, and of the gap between two."""
    widths = [column.width for column in columns]
    gaps = len(columns) - 1
    if width is None or sum(widths) + _WIDE_GAP * gaps <= width:
        return widths, _WIDE_GAP
    excess = sum(widths) + _NARROW_GAP * gaps - width
    spare = [column.width - column.least for column in columns]
    for index in sorted(range(len(columns)), key=spare.__getitem__, reverse=True):
        taken = min(spare[index], max(excess, 0))
        widths[index] -= taken
        excess -= taken
    return widths, _NARROW_GAP


def _row_lines(
    columns: Sequence[Column], row: Sequence[Cell], widths: Sequence[int], gap: int, paint: Paint
) -> list[str]:
    parts = [fold_line(cell.text, width) for cell, width in zip(row, widths, strict=True)]
    lines = []
    for texts in zip_longest(*parts, fillvalue=""):
        padded = (
            _painted(cell, pad(text, width, right=column.is_number), paint)
            for column, cell, text, width in zip(columns, row, texts, widths, strict=True)
        )
        lines.append((" " * gap).join(padded).rstrip(" "))
    return lines


def _painted(cell: Cell, text: str, paint: Paint) -> str:
    return paint(text) if cell.is_alarm and text.strip(" ") else text
