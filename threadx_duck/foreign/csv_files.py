"""Reads a CSV file as columns of text. Without a header, the columns are named by the usual order of candles."""

from __future__ import annotations

import csv as lines_of
import re
from typing import NamedTuple

import pyarrow as pa
from pyarrow import csv

from threadx_duck.errors import BadResponseError
from threadx_duck.foreign.columns import ARCHIVE_COLUMNS, REQUIRED, Columns, shown
from threadx_duck.texts.visible import visible

_MARK = b"\xef\xbb\xbf"
_NUMBER = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?\s*", re.ASCII)

# A single byte above ASCII: a letter with an accent in cp1252. In GBK, both bytes of a common character are above it.
_LONE = re.compile(rb"(?<![\xa1-\xfe])([\xa1-\xfe]{2})*[\x80-\xff](?![\xa1-\xfe])")

# How many bytes show how a file begins: a few lines that a site or a program wrote above, the header, a row.
_BEGIN = 1 << 16
_MOST_ABOVE = 5
_BLOCK = 4 << 20


class _Layout(NamedTuple):
    """The layout of a file: the number of lines before its rows, its delimiter, and the names of its columns."""

    skip: int
    delimiter: str
    names: list[str]
    notes: list[str]


def without_mark(body: bytes) -> bytes:
    """Returns the bytes without the byte order mark that some editors write before UTF-8."""
    return body.removeprefix(_MARK)


def read_csv(name: str, body: bytes) -> Columns:
    """Returns the columns of a CSV file. Raises `BadResponseError` if it is not readable CSV."""
    body, encoding = _decoded(name, without_mark(body))
    layout = _layout(name, body)
    if encoding:
        layout.notes.append(f"{name} is no UTF-8; it was read as {encoding}.")
    keys = [f"column {place}" for place in range(len(layout.names))]
    malformed: list[str] = []

    def take_note(row: csv.InvalidRow) -> str:
        malformed.append(row.text)
        return "skip"

    try:
        table = csv.read_csv(
            pa.BufferReader(body),
            read_options=csv.ReadOptions(
                column_names=keys, skip_rows=layout.skip, block_size=_BLOCK, use_threads=False
            ),
            parse_options=csv.ParseOptions(delimiter=layout.delimiter, invalid_row_handler=take_note),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(keys, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowException as error:
        raise BadResponseError(f"{name} is not readable CSV: {first_line(error)}.") from error
    return Columns(layout.names, table.columns, malformed=malformed, notes=layout.notes, is_text=True)


def first_line(error: Exception) -> str:
    """Returns the message of an error in one short line."""
    text = visible(str(error).strip().partition("\n")[0].rstrip(". ")) or type(error).__name__
    return text if len(text) <= 200 else text[:200] + "…"


def _decoded(name: str, body: bytes) -> tuple[bytes, str]:
    """Returns the bytes as UTF-8, and the name of their encoding if it was another; else an empty text."""
    if body[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        encoding = "utf-16"
    else:
        try:
            body.decode("utf-8")
        except UnicodeDecodeError:
            encoding = "cp1252" if _LONE.search(body) else "gbk"
        else:
            return body, ""
    try:
        return body.decode(encoding).removeprefix("\ufeff").encode(), encoding
    except UnicodeDecodeError as error:
        raise BadResponseError(f"{name} is no UTF-8 text: {first_line(error)}. Save it as UTF-8.") from error


def _layout(name: str, body: bytes) -> _Layout:
    text = body[:_BEGIN].decode("utf-8", "ignore")
    begin = text.splitlines()
    if "\0" in text:
        raise BadResponseError(f"{name} is not readable CSV: it holds bytes that are no text.")
    notes: list[str] = []
    for skip, line in enumerate(begin[: _MOST_ABOVE + 1]):
        delimiter = max(",;\t", key=line.count)
        cells = next(lines_of.reader([line], delimiter=delimiter), [])
        if len(cells) < len(REQUIRED):
            continue
        if skip and any(map(str.strip, begin[:skip])):
            notes.append(f"{name}: the line '{visible(begin[0][:80])}' before the columns was passed over.")
        if not any(map(_NUMBER.fullmatch, cells)):
            return _Layout(skip + 1, delimiter, cells, notes)
        return _Layout(skip, delimiter, _usual(name, cells), notes)
    if not "".join(begin).strip():
        raise BadResponseError(f"{name} holds no candles.")
    first = next(line for line in begin if line.strip())
    cells = next(lines_of.reader([first]), [])
    if any(map(_NUMBER.fullmatch, cells)):
        _usual(name, cells)
    # The header has too few columns, or --map names the others: a later error names the columns that are missing.
    return _Layout(begin.index(first) + 1, ",", cells, notes)


def _usual(name: str, cells: list[str]) -> list[str]:
    """Returns the column names of a file without a header, from the number of cells in a row."""
    if len(cells) in {len(REQUIRED), len(ARCHIVE_COLUMNS)}:
        return list((REQUIRED, ARCHIVE_COLUMNS)[len(cells) == len(ARCHIVE_COLUMNS)])
    raise BadResponseError(
        f"{name} has no line of column names and {len(cells)} columns ({shown(cells[:12])}), where candles have "
        f"{len(REQUIRED)} or {len(ARCHIVE_COLUMNS)}. Write the names above, such as {','.join(REQUIRED)}."
    )
