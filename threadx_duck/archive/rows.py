"""Reads the rows of the archive's files, CSV with twelve columns, into Arrow columns.

Spot files have no header but files of other markets do. Times are in milliseconds or microseconds. The last column
may hold anything.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from threadx_duck.archive.unzip import BLOCK, Opener
from threadx_duck.candles.klines import REJECTED_SCHEMA, UNREADABLE, VALUE_FIELDS, Klines, minutes_of, split_klines
from threadx_duck.errors import BadResponseError

_TYPES: dict[str, pa.DataType] = {"open_time": pa.int64(), **{field.name: field.type for field in VALUE_FIELDS}}
_COLUMNS = [
    "open_time",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "close_time",
    "quote_volume",
    "trade_count",
    "taker_buy_volume",
    "taker_buy_quote_volume",
    "unused",
]
_TEXT: dict[str, pa.DataType] = dict.fromkeys(_COLUMNS, pa.binary())
_WHOLE_NUMBER = r"^-?\d{1,18}$"
_DECIMAL = r"^-?\d{1,300}(\.\d*)?([eE][-+]?\d{1,3})?$"


def read_kline_csv(symbol: str, opener: Opener, what: str) -> Klines:
    """Returns the candles of CSV rows, in the order of the rows. Raises `BadResponseError` if no row can be read.

    A row that is unreadable, is off the minute grid, or breaks an invariant is rejected with its reason.
    """
    malformed: list[str] = []
    try:
        columns = _read(opener, _TYPES, malformed)
    except pa.ArrowInvalid:
        return _read_damaged(symbol, opener, what)
    if not columns.num_rows:
        raise BadResponseError(f"{what} holds no candles.")
    klines = split_klines(symbol, columns, lambda positions: _lines(_read(opener, _TEXT, []), positions))
    return _with_malformed(symbol, klines, malformed)


def _read(opener: Opener, types: dict[str, pa.DataType], malformed: list[str]) -> pa.Table:
    """Returns some columns of all rows that have twelve cells; adds the text of other rows to ``malformed``."""

    def take_note(row: csv.InvalidRow) -> str:
        malformed.append(row.text)
        return "skip"

    with opener() as file:
        has_header = not file.peek(1)[:1].isdigit()
        return csv.read_csv(
            file,
            read_options=csv.ReadOptions(
                use_threads=False, block_size=BLOCK, column_names=_COLUMNS, skip_rows=1 if has_header else 0
            ),
            parse_options=csv.ParseOptions(quote_char=False, invalid_row_handler=take_note),
            convert_options=csv.ConvertOptions(
                column_types=types, include_columns=list(types), null_values=[], check_utf8=False
            ),
        )


def _read_damaged(symbol: str, opener: Opener, what: str) -> Klines:
    """Returns the candles of a file in which some cell is not a number; rows with such cells are rejected."""
    malformed: list[str] = []
    try:
        text = _read(opener, _TEXT, malformed)
    except pa.ArrowInvalid as error:
        raise BadResponseError(f"{what} is not CSV: {error}.") from error
    is_time = pc.match_substring_regex(text["open_time"], _WHOLE_NUMBER)
    is_good = is_time
    for name, kind in _TYPES.items():
        pattern = _WHOLE_NUMBER if pa.types.is_integer(kind) else _DECIMAL
        is_good = pc.and_(is_good, pc.match_substring_regex(text[name], pattern))
    good, bad = text.filter(is_good), text.filter(pc.invert(is_good))
    if not good.num_rows:
        raise BadResponseError(f"{what} holds no candles.")
    columns = pa.table({name: good[name].cast(pa.string()).cast(kind) for name, kind in _TYPES.items()})
    klines = split_klines(symbol, columns, lambda positions: _lines(good, positions))
    rejected = _unreadable(symbol, bad, pc.filter(is_time, pc.invert(is_good)))
    klines = Klines(klines.candles, pa.concat_tables([klines.rejected, rejected]))
    return _with_malformed(symbol, klines, malformed)


def _unreadable(symbol: str, text: pa.Table, is_time: pa.ChunkedArray) -> pa.Table:
    """Returns rows as rejected rows, each with its minute if at least that is readable."""
    times = pc.if_else(is_time, text["open_time"], pa.scalar(None, pa.binary())).cast(pa.string()).cast(pa.int64())
    return pa.table(
        [
            pa.repeat(pa.scalar(symbol), text.num_rows),
            minutes_of(times),
            pa.array(_lines(text, list(range(text.num_rows))), pa.string()),
            pa.repeat(pa.scalar(UNREADABLE), text.num_rows),
        ],
        schema=REJECTED_SCHEMA,
    )


def _with_malformed(symbol: str, klines: Klines, malformed: list[str]) -> Klines:
    if not malformed:
        return klines
    rows = len(malformed)
    rejected = pa.table(
        [[symbol] * rows, pa.nulls(rows, pa.timestamp("us")), malformed, [UNREADABLE] * rows], schema=REJECTED_SCHEMA
    )
    return Klines(klines.candles, pa.concat_tables([klines.rejected, rejected]))


def _lines(text: pa.Table, positions: list[int]) -> list[str]:
    """Returns the rows at some positions as the text that was received."""
    rows = text.take(positions).to_pylist()
    return [b",".join(row.values()).decode("utf-8", "replace") for row in rows]
