"""Tables for people and JSON documents, on stdout."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import click
import orjson
from rich import box
from rich.console import Console
from rich.table import Table

from threadx_duck.texts.visible import visible

_WIDE = 10_000

# No count of candles is this large; a request_id nearly always is.
_IDENTIFIERS_FROM = 10**15


def print_json(document: Any) -> None:
    """One JSON document; times are UTC with a ``Z``."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z | orjson.OPT_OMIT_MICROSECONDS
    click.echo(orjson.dumps(document, option=options, default=str))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table for people: numbers to the right, times in UTC, as wide as it needs."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    shown = [list(row) for row in rows]
    for index, name in enumerate(columns):
        is_number = any(isinstance(row[index], int | float) for row in shown)
        table.add_column(visible(name), justify="right" if is_number else "left", no_wrap=True)
    for row in shown:
        table.add_row(*(_cell(value) for value in row))
    width = None if sys.stdout.isatty() else _WIDE
    console = Console(file=sys.stdout, width=width, highlight=False, markup=False, soft_wrap=True)
    with console.capture() as captured:
        console.print(table)
    # Without the blanks that pad the last column: they would show in files and in pasted text.
    click.echo("\n".join(line.rstrip(" ") for line in captured.get().split("\n")), nl=False)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) < _IDENTIFIERS_FROM else str(value)
    return f"{value:.10g}" if isinstance(value, float) else visible(str(value))
