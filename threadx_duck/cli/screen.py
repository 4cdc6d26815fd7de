"""What a stream can show: how wide its terminal is, whether it has colours, and text folded at words."""

from __future__ import annotations

import os
from typing import IO

import click
from rich.cells import cell_len

# A terminal that does not say how wide it is, as some of tools do, and the narrowest that anything is fitted to.
_USUAL = 80
_NARROWEST = 20


def width_of(stream: IO[str]) -> int | None:
    """Returns the columns of the terminal behind a stream; None for a pipe or a file, which have no edge."""
    if not stream.isatty():
        return None
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except OSError:
        columns = 0
    return max(columns or _USUAL, _NARROWEST)


def paint(text: str, stream: IO[str]) -> str:
    """Returns text in red, which reads on light and dark; as it is where colours are not wanted."""
    wanted = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return click.style(text, fg="red") if wanted else text


def pad(text: str, width: int, *, right: bool = False) -> str:
    """Fills a text with blanks up to a width; a letter such as 币 takes two columns."""
    blanks = " " * (width - cell_len(text))
    return blanks + text if right else text + blanks


def fold(text: str, width: int | None, indent: int = 0) -> str:
    """Breaks a text between words into lines of a width; a word, number or address stays whole, however long it is.

    Lines after the first begin with ``indent`` blanks. Line breaks of the text stay.
    """
    if width is None:
        return text
    margin = "\n" + " " * indent
    return margin.join(line for part in text.split("\n") for line in fold_line(part, width, indent))


def fold_line(text: str, width: int, indent: int = 0) -> list[str]:
    """The lines of one line of text; `indent` is what the lines after the first have less."""
    if cell_len(text) <= width:
        return [text]
    start = len(text) - len(text.lstrip(" "))
    first, *words = text[start:].split(" ")
    lines = [text[:start] + first]
    for word in words:
        longer = f"{lines[-1]} {word}"
        if cell_len(longer) <= width - (indent if len(lines) > 1 else 0):
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
