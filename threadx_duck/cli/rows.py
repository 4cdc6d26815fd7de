"""Rows of any query, written to stdout or a file: a table, CSV, JSON, Parquet or Arrow."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import types

from threadx_duck.cli.context import STDOUT, choose_form
from threadx_duck.cli.numbers import without_noise
from threadx_duck.cli.output import print_part
from threadx_duck.cli.values import as_records, column_values, json_text, text_of
from threadx_duck.disk.whole_files import whole_file
from threadx_duck.errors import UsageError

_JSON_ROWS = 10_000
_TABLE_ROWS = 1_000
_CSV_ROWS = 50_000
_ADVICE = "select column::varchar"


def write_rows(
    table: pa.Table, form: str | None, output: Path | None, *, falling: Sequence[str] = (), is_stored: bool = False
) -> str | None:
    """Writes rows to stdout, which is also ``-``, or to a file; returns a note for the reader, if there is one.

    Texts, not Parquet and Arrow, have sums without the noise of adding, unless the values are as stored. Of a table on
    a narrow terminal the columns of ``falling`` fall away. A file appears whole or not at all. Raises `UsageError`,
    for a database in its place too.
    """
    if output in STDOUT:
        output = None
    form = choose_form(form, output) or "table"
    if form == "table" and output is None:
        return _print(table, falling, is_stored=is_stored)
    if form not in {"parquet", "arrow"} and not is_stored:
        table = without_noise(table)
    if output is None:
        if form in {"parquet", "arrow"} and sys.stdout.isatty():
            raise UsageError(f"{form} is not for a terminal. Name a file with -o, or pipe it on.")
        _write(table, form, sys.stdout.buffer)
        return None
    try:
        with whole_file(output) as file:
            _write(table, form, file)
    except OSError as error:
        raise UsageError(f"Cannot write {output}: {error.strerror or error}.") from error
    return f"Wrote {table.num_rows:,} rows to {output}."


def _print(table: pa.Table, falling: Sequence[str], *, is_stored: bool) -> str | None:
    shown = table.slice(max(0, table.num_rows - _TABLE_ROWS))
    shown = shown if is_stored else without_noise(shown)
    rows = list(zip(*map(column_values, shown.columns), strict=True))
    print_part(table.column_names, rows, table.num_rows, falling=falling, complete="--format csv", is_end=True)
    if shown.num_rows < table.num_rows and not sys.stdout.isatty():
        return f"The last {shown.num_rows:,} of {table.num_rows:,} rows; --format csv prints all."
    return None


def _write(table: pa.Table, form: str, file: IO[bytes]) -> None:
    if form == "parquet":
        _write_parquet(table, file)
    elif form == "arrow":
        with pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table)
    else:
        for part in _csv_parts(table) if form in {"csv", "table"} else _json_parts(table):
            file.write(part)
    file.flush()


def _write_parquet(table: pa.Table, file: IO[bytes]) -> None:
    buffer = io.BytesIO()
    try:
        pq.write_table(table, buffer, compression="zstd")
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
        without = ", ".join(f"{field.name} ({field.type})" for field in table.schema if not _has_parquet_form(field))
        what = f"Parquet has no form for {without}" if without else f"Parquet cannot hold these rows: {error}"
        raise UsageError(
            f"{what}. Make it text in the statement, as in {_ADVICE}, or take another --format."
        ) from error
    file.write(buffer.getbuffer())


def _has_parquet_form(field: pa.Field) -> bool:
    try:
        pq.write_table(pa.schema([field]).empty_table(), io.BytesIO())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        return False
    return True


def _csv_parts(table: pa.Table) -> Iterator[bytes]:
    yield ",".join(_quoted(pa.array(table.column_names, pa.string())).to_pylist()).encode() + b"\n"
    for batch in _with_text_values(_with_text_times(table)).to_batches(max_chunksize=_CSV_ROWS):
        values = [
            _quoted(column)
            if types.is_string(column.type) or types.is_large_string(column.type)
            else pc.cast(column, pa.string())
            for column in batch.columns
        ]
        lines = pc.binary_join_element_wise(*values, ",", null_handling="replace", null_replacement="")
        yield "\n".join([*lines.to_pylist(), ""]).encode()


def _quoted(texts: pa.Array) -> pa.Array:
    """Returns texts as CSV writes them: quotes only where the text has a comma, quote or line break, or is empty.

    An empty text has quotes because a field without anything is NULL.
    """
    is_odd = pc.or_(pc.match_substring_regex(texts, r'[",\r\n]'), pc.equal(texts, ""))
    inside = pc.replace_substring(texts, '"', '""')
    quotes = pa.scalar('"', texts.type)
    return pc.if_else(is_odd, pc.binary_join_element_wise(quotes, inside, quotes, ""), texts)


def _json_parts(table: pa.Table) -> Iterator[bytes]:
    names = table.column_names
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"Two columns are called {twice}; JSON can hold one. Rename one: select … as other_name.")
    yield b"["
    separator = b"\n"
    for batch in _with_text_times(table).to_batches(max_chunksize=_JSON_ROWS):
        for row in as_records(batch):
            yield separator + json_text(row)
            separator = b",\n"
    yield b"\n]\n"


def _with_text_values(table: pa.Table) -> pa.Table:
    """Returns values without a form in CSV, such as lists and intervals, as JSON text."""
    for index, field in enumerate(table.schema):
        if not _has_csv_form(field.type):
            values = map(text_of, column_values(table.column(index)))
            table = table.set_column(index, field.name, pa.array(values, pa.string()))
    return table


def _has_csv_form(kind: pa.DataType) -> bool:
    is_odd = types.is_nested(kind) or types.is_interval(kind) or types.is_union(kind) or types.is_binary(kind)
    return not (is_odd or types.is_dictionary(kind) or hasattr(kind, "extension_name"))


def _with_text_times(table: pa.Table) -> pa.Table:
    """Timestamps as text, ``2024-01-01T00:00:00Z``, and dates and times that Python does not reach, too."""
    for index, field in enumerate(table.schema):
        column = table.column(index)
        if (pa.types.is_timestamp(field.type) or pa.types.is_date(field.type)) and not _is_within_python(column):
            text = pa.array(map(text_of, column_values(column)), pa.string())
            table = table.set_column(index, field.name, text)
        elif pa.types.is_timestamp(field.type) and field.type.tz is None:
            seconds = pc.cast(column, pa.timestamp("s"), safe=False)
            table = table.set_column(index, field.name, pc.strftime(seconds, format="%Y-%m-%dT%H:%M:%SZ"))
    return table


def _is_within_python(column: pa.ChunkedArray) -> bool:
    try:
        pc.min_max(column).as_py()
    except (OverflowError, ValueError):
        return False
    return True
