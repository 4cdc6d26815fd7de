"""Tables for people and JSON documents, on stdout."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import click
import orjson

from threadx_duck.cli.layout import Cell, Column, choose_columns, record_lines, table_lines
from threadx_duck.cli.numbers import even_texts, is_number, pointed_texts
from threadx_duck.cli.screen import fold, paint, width_of
from threadx_duck.texts.visible import visible

# A terminal is sent about this many lines of one table.
_LINES = 1_000
_FEWEST_RECORDS = 10


@dataclass(frozen=True)
class Alarm:
    """A value of a table that means trouble: it is red where there are colours."""

    value: Any


def marked(status: str) -> str | Alarm:
    """Returns how something ended, as an alarm if it failed."""
    return Alarm(status) if status == "failed" else status


def print_json(document: Any) -> None:
    """One JSON document; times are UTC with a ``Z``."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z | orjson.OPT_OMIT_MICROSECONDS
    click.echo(orjson.dumps(document, option=options, default=str))


def print_text(text: str, *, indent: int = 0, alarm: str = "") -> None:
    """Text for people, folded between words on a terminal; further lines begin with ``indent`` blanks.

    ``alarm`` is the beginning of the text, if that means trouble.
    """
    folded = fold(text, width_of(sys.stdout), indent).removeprefix(alarm)
    click.echo((paint(alarm, sys.stdout) if alarm else "") + folded)


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    falling: Sequence[str] = (),
    pointed: Sequence[str] = (),
    complete: str = "--json",
) -> None:
    """A table for people: numbers to the right, with the same decimals down a column; times in UTC.

    On a terminal too narrow for it the columns of ``falling`` fall away, the first of them first, and if that is not
    enough, each row becomes a record; a long one ends early. What is left out is said in the last line, with
    ``complete``, the option that prints all. ``pointed`` names columns that mix numbers of several fields.
    """
    shown = list(rows)
    print_part(columns, shown, len(shown), falling=falling, pointed=pointed, complete=complete)


def print_part(
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    total: int,
    *,
    falling: Sequence[str] = (),
    pointed: Sequence[str] = (),
    complete: str = "--json",
    is_end: bool = False,
) -> None:
    """The same of the first, or with ``is_end`` the last, of ``total`` rows."""
    width = width_of(sys.stdout)
    if width is None:
        return _echo(table_lines(_columns(columns, rows, pointed), None, str))
    red = partial(paint, stream=sys.stdout)
    rows = _cut(rows, _LINES, is_end=is_end)
    fitted = choose_columns(made := _columns(columns, rows, pointed), falling, width)
    left_out: list[str] = []
    if fitted is not None:
        left_out = [column.name for column in made if column not in fitted]
        _echo(table_lines(fitted, width, red))
    elif not rows:
        print_text("  ".join(column.name for column in made))
    else:
        rows = _cut(rows, max(_FEWEST_RECORDS, _LINES // (len(columns) + 1)), is_end=is_end)
        first = total - len(rows) if is_end else 0
        numbers = [f"{first + number:,} of {total:,}" for number in range(1, len(rows) + 1)]
        _echo(record_lines(_columns(columns, rows, pointed), width, red, numbers))
    if len(rows) < total:
        print_text(f"(The {'last' if is_end else 'first'} {len(rows):,} of {total:,} rows; {complete} prints all.)")
    if left_out:
        print_text(f"(Too narrow for: {', '.join(left_out)}. A wider terminal shows more, {complete} all.)")
    return None


def _cut(rows: Sequence[Sequence[Any]], most: int, *, is_end: bool) -> Sequence[Sequence[Any]]:
    return rows[max(0, len(rows) - most) :] if is_end else rows[:most]


def _echo(lines: Iterable[str]) -> None:
    click.echo("\n".join(lines))


def _columns(names: Sequence[str], rows: Sequence[Sequence[Any]], pointed: Sequence[str]) -> list[Column]:
    return [_column(name, [row[index] for row in rows], name in pointed) for index, name in enumerate(names)]


def _column(name: str, values: list[Any], is_pointed: bool) -> Column:
    alarms = [isinstance(value, Alarm) for value in values]
    values = [value.value if isinstance(value, Alarm) else value for value in values]
    has_numbers = any(map(is_number, values))
    if has_numbers and all(value is None or is_number(value) for value in values):
        texts = pointed_texts(values) if is_pointed else even_texts(values)
    else:
        texts = [_text(value, values) for value in values]
    cells = [Cell(text, is_alarm) for text, is_alarm in zip(texts, alarms, strict=True)]
    return Column(visible(name), cells, has_numbers or any(isinstance(value, bool) for value in values))


def _text(value: Any, column: Sequence[Any]) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        has_seconds = any(isinstance(other, datetime) and other.second for other in column)
        return f"{value:%Y-%m-%d %H:%M:%S}" if has_seconds else f"{value:%Y-%m-%d %H:%M}"
    return even_texts([value])[0] if is_number(value) else visible(str(value))
