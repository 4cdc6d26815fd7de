"""Reads Parquet and feather files as columns."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq

from threadx_duck.errors import BadResponseError
from threadx_duck.foreign.columns import Columns
from threadx_duck.foreign.csv_files import first_line
from threadx_duck.foreign.numbers import plain


def read_table(name: str, body: bytes, *, is_parquet: bool) -> Columns:
    """Returns the columns of a file. Raises `BadResponseError` if the file is not readable."""
    source = pa.BufferReader(body)
    try:
        table = pq.ParquetFile(source).read() if is_parquet else feather.read_table(source)
        arrays = [plain(column) for column in table.columns]
    except (pa.ArrowException, OSError, ValueError, TypeError) as error:
        kind = "Parquet" if is_parquet else "feather"
        raise BadResponseError(f"{name} is not readable {kind}: {first_line(error)}.") from error
    return Columns(list(table.column_names), arrays)
