"""Candles as Arrow tables: their columns, and the conversion of the exchange's rows.

A table of candles has the columns of `CANDLE_SCHEMA`: ``open_time`` is a timestamp in microseconds,
naive UTC; prices are in the quote asset, ``volume`` is in the base asset.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from threadx_duck.candles.arrays import empty, integer, integers, null, text, texts
from threadx_duck.candles.ranges import TimeRange
from threadx_duck.candles.times import MINUTE, format_time
from threadx_duck.errors import BadResponseError, UsageError

VALUE_FIELDS: list[pa.Field] = [
    pa.field("open", pa.float64()),
    pa.field("high", pa.float64()),
    pa.field("low", pa.float64()),
    pa.field("close", pa.float64()),
    pa.field("volume", pa.float64()),
    pa.field("quote_volume", pa.float64()),
    pa.field("trade_count", pa.int64()),
    pa.field("taker_buy_volume", pa.float64()),
    pa.field("taker_buy_quote_volume", pa.float64()),
]
CANDLE_SCHEMA: pa.Schema = pa.schema(
    [pa.field("symbol", pa.string()), pa.field("open_time", pa.timestamp("us")), *VALUE_FIELDS]
)
_OPTIONAL = frozenset({"quote_volume", "trade_count", "taker_buy_volume", "taker_buy_quote_volume"})

REJECTED_SCHEMA: pa.Schema = pa.schema(
    [("symbol", pa.string()), ("minute", pa.timestamp("us")), ("raw", pa.string()), ("reason", pa.string())]
)

# Positions in the exchange's row of 12 cells (binance-spot-api-docs, rest-api.md, klines). The values of close_time
# and of the unused last column are never stored, because neither is reliable. A row of another length is read if its
# cells agree that each stands in its place: then only cells after those that are read were added or left out.
_POSITIONS = {
    "open": 1,
    "high": 2,
    "low": 3,
    "close": 4,
    "volume": 5,
    "quote_volume": 7,
    "trade_count": 8,
    "taker_buy_volume": 9,
    "taker_buy_quote_volume": 10,
}
_ROW_LENGTH = 12
_LEAST_LENGTH = max(_POSITIONS.values()) + 1
_CLOSE_TIME = 6

# The reason for rejecting a row that cannot be parsed.
UNREADABLE = "unreadable"
OFF_GRID = "off_grid"

# A short answer may contain only impossible candles. In an answer of at least this many rows, a majority of them
# means that the columns were misread.
_ENOUGH_ROWS = 10

# Spot times are in milliseconds, in archive files from 2025 on in microseconds. 1e14 ms is in the year 5138.
_MICROSECONDS_FROM = integer(100_000_000_000_000)
_LAST_MICROSECOND = integer(253_402_300_799_999_999)  # 9999-12-31, the last year Python's datetime holds
_MINUTE = integer(60_000_000)
_LONGEST_CANDLE = integer(32 * 24 * 60 * 60 * 1_000_000)  # a month, in the smaller of the two units
_THOUSAND = integer(1_000)
_SUM_TOLERANCE = 1e-9  # of doubles that were multiplied
_ZERO = integer(0)
# Far above any minute of any market. The sum of this many trades per minute fits into 64 bits for 17,000 years, and
# no sum or product of two such amounts or prices overflows a double. `sql/checks/impossible_size.sql` repeats both.
_MOST_TRADES = integer(1_000_000_000)
_MOST = pc.cast(text("1e30"), pa.float64())
_UNKNOWN = null(pa.int64())


class Klines(NamedTuple):
    """The content of the exchange's rows: ``candles`` on the minute grid, and ``rejected`` rows."""

    candles: pa.Table
    rejected: pa.Table


def read_kline_rows(symbol: str, rows: Sequence[Any]) -> Klines:
    """Returns the candles of one REST answer, in its order.

    Accepts numbers where the exchange writes texts. A row that is unreadable, off the minute grid, or breaks an
    invariant of candles is rejected with its reason, never repaired.
    """
    try:
        columns = _columns_of(rows)
    except (pa.ArrowException, ValueError, TypeError, IndexError, OverflowError):
        return _read_damaged_rows(symbol, rows)
    return split_klines(symbol, columns, lambda positions: [orjson.dumps(rows[i]).decode() for i in positions])


def split_klines(
    symbol: str, columns: pa.Table, raw: Callable[[list[int]], list[str]], *, unit_told: bool = False
) -> Klines:
    """Splits parsed rows into candles and rejected rows.

    ``columns`` has the value columns and ``open_time``: the exchange's integers, or microseconds if ``unit_told`` is
    set. ``raw`` returns the received text of the rows at given positions, for the evidence.
    """
    micros = _within_calendar(columns["open_time"]) if unit_told else _to_microseconds(columns["open_time"])
    reasons = _reasons(micros, columns)
    open_time = pc.cast(micros, pa.timestamp("us"))
    candles = pa.table(
        [pa.repeat(text(symbol), columns.num_rows), open_time, *(columns[f.name] for f in VALUE_FIELDS)],
        schema=CANDLE_SCHEMA,
    )
    if reasons.null_count == len(reasons):
        return Klines(candles, empty(REJECTED_SCHEMA))
    is_bad = pc.is_valid(reasons)
    positions = pc.indices_nonzero(is_bad).to_pylist()
    rejected = pa.table(
        [
            pa.repeat(pa.scalar(symbol), len(positions)),
            pc.cast(pc.filter(_floor_minute(micros), is_bad), pa.timestamp("us")),
            pa.array(raw(positions), pa.string()),
            pc.filter(reasons, is_bad),
        ],
        schema=REJECTED_SCHEMA,
    )
    return Klines(candles.filter(pc.invert(is_bad)), rejected)


def require_mostly_candles(klines: Klines, what: str) -> None:
    """Raises `BadResponseError` for an answer that cannot be understood, because it must not count as evidence.

    That is an answer with more unreadable than readable rows, or with at least ten rows of which most are unreadable
    or impossible: its columns mean something else. Rows off the minute grid do not count, because the exchange itself
    has published some (2017-12, 2018-02).
    """
    reasons = klines.rejected["reason"]
    unreadable = pc.sum(pc.equal(reasons, text(UNREADABLE))).as_py() or 0
    impossible = len(reasons) - unreadable - (pc.sum(pc.equal(reasons, text(OFF_GRID))).as_py() or 0)
    total = klines.candles.num_rows + len(reasons)
    if 2 * unreadable > total or (total >= _ENOUGH_ROWS and 2 * (unreadable + impossible) > total):
        is_odd = pc.not_equal(reasons, text(OFF_GRID))
        example = klines.rejected.filter(is_odd)["raw"][0].as_py()
        raise BadResponseError(
            f"{what} answered with rows that are no candles as the exchange writes them: "
            f"{unreadable + impossible:,} of {total:,}, the first {example[:120]}. Nothing of it was stored."
        )


def typed(column: str, value: float | None) -> float | int | None:
    """Returns a value from SQL, which is a double, in the type of its column: ``trade_count`` is a whole number."""
    return int(value) if column == "trade_count" and value is not None else value


def minutes_of(times: pa.ChunkedArray) -> pa.ChunkedArray:
    """Returns the minutes that contain the exchange's integer times; null for an integer that is not a time."""
    return pc.cast(_floor_minute(_to_microseconds(times)), pa.timestamp("us"))


def read_candles(data: Any) -> pa.Table:
    """Returns a table of candles with the columns of `CANDLE_SCHEMA`.

    ``data`` is an Arrow table or any object that exports the Arrow stream interface. Times with a zone are converted
    to UTC, naive times are taken as UTC. ``quote_volume``, ``trade_count`` and the taker columns may be absent.
    Raises `UsageError` that names the column that is missing or has another type.
    """
    try:
        table = pa.table(data)
    except (TypeError, ValueError, pa.ArrowException) as error:
        raise UsageError(
            f"A {type(data).__name__} is not a table of candles. Give a pyarrow table, or a pandas or polars frame."
        ) from error
    columns = []
    for wanted in CANDLE_SCHEMA:
        if wanted.name in table.column_names:
            columns.append(_as(wanted, table[wanted.name]))
        elif wanted.name in _OPTIONAL:
            columns.append(pa.nulls(table.num_rows, wanted.type))
        else:
            raise UsageError(f"The candles have no column {wanted.name}.")
    return pa.table(columns, schema=CANDLE_SCHEMA)


def _as(wanted: pa.Field, values: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        if pa.types.is_timestamp(values.type) and values.type.tz is not None:
            values = values.cast(pa.timestamp(values.type.unit, "UTC")).cast(pa.timestamp(values.type.unit))
        values = values.cast(wanted.type)
    except pa.ArrowException as error:
        raise UsageError(f"The column {wanted.name} of the candles is {values.type}, not {wanted.type}.") from error
    if values.null_count and wanted.name not in _OPTIONAL:
        raise UsageError(f"The column {wanted.name} of the candles has {values.null_count:,} empty values.")
    return values


def require_ascending(open_times: pa.ChunkedArray, what: str) -> None:
    """Raises `BadResponseError` unless every open time is later than the one before."""
    if len(open_times) > 1 and not pc.all(pc.greater(open_times[1:], open_times[:-1])).as_py():
        raise BadResponseError(f"{what} holds candles out of order or twice; nothing of it was stored.")


def in_time_order(candles: pa.Table, what: str) -> pa.Table:
    """Returns the candles in time order, without duplicates. Raises `BadResponseError` if two of a minute differ."""
    times = candles["open_time"]
    if len(times) < 2 or pc.all(pc.greater(times[1:], times[:-1])).as_py():
        return candles
    distinct = candles.group_by(candles.column_names, use_threads=False).aggregate([]).sort_by("open_time")
    times = distinct["open_time"]
    is_twice = pc.equal(times[1:], times[:-1])
    if pc.any(is_twice).as_py():
        minutes = times[1:].filter(is_twice)
        raise BadResponseError(
            f"{what} holds two candles that differ for {format_time(minutes[0].as_py())}"
            f"{f' and {len(minutes) - 1:,} other minutes' if len(minutes) > 1 else ''}; nothing of it was stored. "
            "Keep the one of each minute that is right."
        )
    return distinct.select(candles.column_names)


def absent_ranges(candles: pa.Table, within: TimeRange) -> list[TimeRange]:
    """Returns the parts of a range without candles; ``candles`` must be in time order."""
    times = candles["open_time"]
    opens = times.filter(pc.and_(pc.greater_equal(times, within.start), pc.less(times, within.end)))
    if len(opens) == within.minutes:
        return []
    if not len(opens):
        return [within]
    steps = pc.subtract(opens[1:].cast(pa.int64()), opens[:-1].cast(pa.int64()))
    jumps = pc.indices_nonzero(pc.greater(steps, _MINUTE))
    starts = [within.start, *(t + MINUTE for t in opens.take(jumps).to_pylist()), opens[-1].as_py() + MINUTE]
    ends = [opens[0].as_py(), *opens.take(pc.add(jumps, 1)).to_pylist(), within.end]
    return [TimeRange(start, end) for start, end in zip(starts, ends, strict=True) if start < end]


def _columns_of(rows: Sequence[Any]) -> pa.Table:
    if not rows:
        return empty(pa.schema([("open_time", pa.int64()), *VALUE_FIELDS]))
    if set(map(type, rows)) != {list}:
        raise ValueError("a row that is no list")
    cells = list(zip(*rows, strict=True))
    columns = {"open_time": integers(cells[0])}
    if len(cells) != _ROW_LENGTH:
        _require_same_places(cells)
    for field in VALUE_FIELDS:
        values = cells[_POSITIONS[field.name]]
        columns[field.name] = _wholes(values) if pa.types.is_integer(field.type) else _decimals(values)
    if len(cells) != _ROW_LENGTH:
        _require_own_amounts(columns)
    return pa.table(columns)


def _require_same_places(cells: Sequence[Sequence[Any]]) -> None:
    """Raises `ValueError` unless rows of another length have the cells that are read in their usual places."""
    if len(cells) < _LEAST_LENGTH:
        raise ValueError(f"a row has {len(cells)} columns")
    lasts = pc.subtract(integers(cells[_CLOSE_TIME]), integers(cells[0]))
    if not pc.all(pc.and_(pc.greater(lasts, _ZERO), pc.less(lasts, _LONGEST_CANDLE))).as_py():
        raise ValueError("a row without its close time in the seventh place")


def _require_own_amounts(columns: dict[str, pa.Array]) -> None:
    """Raises `ValueError` unless what was paid for each amount lies between its lowest and its highest price.

    A cell that is lost or added in between puts another one in the place of at least one of the two. The bounds
    held in a million candles of the archive; what they leave is the rounding of each trade's eight digits.
    """
    left = pc.multiply(pc.add(columns["trade_count"], integer(1)), 1e-8)
    for amount, paid in (("volume", "quote_volume"), ("taker_buy_volume", "taker_buy_quote_volume")):
        least = pc.multiply(columns["low"], columns[amount])
        most = pc.multiply(columns["high"], columns[amount])
        is_own = pc.and_(
            pc.greater_equal(columns[paid], pc.subtract(pc.multiply(least, 1 - _SUM_TOLERANCE), left)),
            pc.less_equal(columns[paid], pc.add(pc.multiply(most, 1 + _SUM_TOLERANCE), left)),
        )
        if not pc.all(is_own).as_py():
            raise ValueError(f"a row whose {paid} was not paid for its {amount}")
    if not pc.all(pc.equal(pc.greater(columns["volume"], 0.0), pc.greater(columns["trade_count"], _ZERO))).as_py():
        raise ValueError("a row with a volume and no trades, or trades and no volume")
    if not pc.all(pc.less_equal(columns["taker_buy_volume"], columns["volume"])).as_py():
        raise ValueError("a row whose takers bought more than was traded")


def _wholes(values: Sequence[Any]) -> pa.Array:
    """Returns whole numbers, given as such or as texts. Raises `ValueError` for anything else."""
    try:
        return integers(values)
    except ValueError:
        numbers = _decimals(values)
        return numbers.cast(pa.int64())


def _decimals(values: Sequence[Any]) -> pa.Array:
    """Returns numbers as doubles, given as texts or as JSON numbers. Raises `ValueError` for anything else."""
    try:
        return pc.cast(texts(values), pa.float64())
    except ValueError:
        if set(map(type, values)) - {int, float}:
            raise
        return pa.array(values, pa.float64())


def _read_damaged_rows(symbol: str, rows: Sequence[Any]) -> Klines:
    """Like `read_kline_rows`, for an answer with unreadable rows: reads the rows one by one.

    Rows of another length than the exchange's are judged together, all rows of one length: if one of them has a cell
    in the place of another, none is read. A quiet minute, which is all zeros, cannot show it.
    """
    read_rows: list[tuple[Any, pa.Table | None]] = []
    for row in rows:
        try:
            read_rows.append((row, _columns_of([row])))
        except (pa.ArrowException, ValueError, TypeError, IndexError, OverflowError):
            read_rows.append((row, None))
    misread = {len(row) for row, table in read_rows if table is None and isinstance(row, list)} - {_ROW_LENGTH}
    kept = [(row, table) for row, table in read_rows if table is not None and len(row) not in misread]
    good = [row for row, _ in kept]
    bad = [row for row, table in read_rows if table is None or len(row) in misread]
    read = split_klines(
        symbol,
        pa.concat_tables([_columns_of([]), *(table for _, table in kept)]),
        lambda found: [orjson.dumps(good[i]).decode() for i in found],
    )
    unreadable = pa.table(
        [
            [symbol] * len(bad),
            pa.array([_minute_of(row) for row in bad], pa.int64()).cast(pa.timestamp("us")),
            [orjson.dumps(row).decode() for row in bad],
            [UNREADABLE] * len(bad),
        ],
        schema=REJECTED_SCHEMA,
    )
    return Klines(read.candles, pa.concat_tables([read.rejected, unreadable]))


def _minute_of(row: Any) -> int | None:
    """Returns the minute of a damaged row in microseconds; None if its open time cannot be read."""
    try:
        minute: int | None = _floor_minute(_to_microseconds(integers([row[0]])))[0].as_py()
    except (pa.ArrowException, ValueError, TypeError, IndexError, KeyError, OverflowError):
        return None
    return minute


def _to_microseconds(times: pa.ChunkedArray | pa.Array) -> Any:
    """Returns the exchange's times in microseconds; the magnitude shows their unit. Null before 1970 or after 9999."""
    is_micros = pc.greater_equal(times, _MICROSECONDS_FROM)
    millis = pc.if_else(is_micros, _ZERO, times)
    return _within_calendar(pc.if_else(is_micros, times, pc.multiply(millis, _THOUSAND)))


def _within_calendar(micros: Any) -> Any:
    """Returns times in microseconds; null for a time before 1970 or after 9999."""
    is_time = pc.and_(pc.greater_equal(micros, _ZERO), pc.less_equal(micros, _LAST_MICROSECOND))
    return pc.if_else(is_time, micros, _UNKNOWN)


def _floor_minute(micros: Any) -> Any:
    return pc.multiply(pc.divide(micros, _MINUTE), _MINUTE)


def _reasons(micros: Any, columns: pa.Table) -> pa.ChunkedArray | pa.Array:
    """Returns for each row the first invariant that it breaks, or null.

    A value that imports may lack breaks none if it is null. Nine million archive rows of BTCUSDT and ETHUSDT
    break none of the invariants.
    """
    column = {name: columns[name] for name in columns.column_names}
    prices = [column[name] for name in ("open", "high", "low", "close")]
    finite = _all(pc.is_finite(values) for name, values in column.items() if name != "open_time")
    rules = [
        (UNREADABLE, _all([pc.is_valid(micros), *map(pc.is_valid, [*prices, column["volume"]])])),
        (OFF_GRID, pc.equal(micros, _floor_minute(micros))),
        ("impossible_price", _all([finite, *(pc.greater(price, _ZERO) for price in prices)])),
        (
            "impossible_price",
            _all(
                [
                    pc.less_equal(column["low"], pc.min_element_wise(column["open"], column["close"])),
                    pc.greater_equal(column["high"], pc.max_element_wise(column["open"], column["close"])),
                ]
            ),
        ),
        (
            "negative_volume",
            _all(
                pc.greater_equal(column[name], _ZERO)
                for name in (
                    "volume",
                    "quote_volume",
                    "trade_count",
                    "taker_buy_volume",
                    "taker_buy_quote_volume",
                )
            ),
        ),
        (
            "impossible_size",
            _all(
                pc.less_equal(column[name], _MOST_TRADES if name == "trade_count" else _MOST)
                for name in column
                if name != "open_time"
            ),
        ),
        (
            "taker_volume_above_volume",
            _all(
                [
                    pc.less_equal(column["taker_buy_volume"], column["volume"]),
                    pc.less_equal(column["taker_buy_quote_volume"], column["quote_volume"]),
                ]
            ),
        ),
        (
            "volume_without_trades",
            pc.equal(pc.greater(column["volume"], _ZERO), pc.greater(column["trade_count"], _ZERO)),
        ),
    ]
    reasons: Any = pa.nulls(columns.num_rows, pa.string())
    if all(pc.all(holds).as_py() is not False for _, holds in rules):
        return reasons
    for reason, holds in reversed(rules):
        reasons = pc.if_else(pc.fill_null(holds, True), reasons, reason)
    return reasons


def _all(conditions: Any) -> Any:
    combined: Any = None
    for condition in conditions:
        combined = condition if combined is None else pc.and_kleene(combined, condition)
    return combined
