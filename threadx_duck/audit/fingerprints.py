"""Fingerprints of stored candles: equal values have equal fingerprints on any machine, version and storage order.

The fingerprint of one symbol and calendar month (UTC) is the SHA-256 of the following bytes. The candles are sorted
by open time:

1. for each of the columns ``open_time, open, high, low, close, volume, quote_volume, trade_count,
   taker_buy_volume, taker_buy_quote_volume`` in turn, the values of all candles, 8 bytes each, little-endian:
   ``open_time`` as a signed integer of microseconds since 1970-01-01, ``trade_count`` as a signed integer,
   the others as IEEE 754 doubles; minus zero is written as zero, an unknown value as eight zero bytes,
   any NaN as ``00 00 00 00 00 00 f8 7f``;
2. for each of the columns ``quote_volume, trade_count, taker_buy_volume, taker_buy_quote_volume`` in turn,
   one byte per candle: 1 if the value is known, 0 if not.

The fingerprint of a whole store is the SHA-256 of the lines ``SYMBOL MONTH CANDLES SHA256`` in UTF-8, sorted by
symbol and month; each line ends with a line feed. It does not depend on which request delivered a candle.
"""

from __future__ import annotations

import array
import hashlib
import math
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from threadx_duck.candles.klines import VALUE_FIELDS
from threadx_duck.candles.ranges import TimeRange, month_of
from threadx_duck.texts.symbols import not_stored

if TYPE_CHECKING:
    from threadx_duck.storage.store import Session, Store

_COLUMNS = ("open_time", *(field.name for field in VALUE_FIELDS))
_MAYBE_UNKNOWN = ("quote_volume", "trade_count", "taker_buy_volume", "taker_buy_quote_volume")
_NAN = pa.scalar(float("nan"))

# How many months may wait to be hashed while the next year is read.
_MOST_WAITING = 12


@dataclass(frozen=True)
class MonthFingerprint:
    """The fingerprint of one symbol and month: ``month`` is text such as ``2024-01``, ``sha256`` is hexadecimal."""

    symbol: str
    month: str
    candles: int
    sha256: str


@dataclass(frozen=True)
class Fingerprint:
    """The fingerprints of all months, sorted by symbol and month."""

    months: tuple[MonthFingerprint, ...]

    @property
    def sha256(self) -> str:
        """The fingerprint of all months together, in hexadecimal."""
        lines = (f"{month.symbol} {month.month} {month.candles} {month.sha256}\n" for month in self.months)
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def compute_fingerprint(
    store: Store,
    symbols: Sequence[str] = (),
    start: datetime | None = None,
    end: datetime | None = None,
    *,
    missing_ok: bool = False,
) -> Fingerprint:
    """Returns the fingerprint of the candles of some symbols, or of all, that open in ``[start, end)``.

    Reads one year of one symbol at a time. Raises `StoreError`, and `UsageError` for a symbol that is not stored,
    unless ``missing_ok``.
    """
    symbols = store.named(symbols)
    with store.reading() as session, ThreadPoolExecutor(1, thread_name_prefix="hash") as pool:
        spans = {
            symbol: TimeRange(first, last + timedelta.resolution) for symbol, first, last in _spans(session, symbols)
        }
        unknown = [symbol for symbol in symbols if symbol not in spans]
        if unknown and not missing_ok:
            raise not_stored(unknown, [row[0] for row in session.run("read/symbol_spans")])
        months: list[MonthFingerprint] = []
        waiting: deque[Future[MonthFingerprint]] = deque()
        for symbol in sorted(set(symbols or spans) & set(spans)):
            span = TimeRange(
                max(spans[symbol].start, start or datetime.min), min(spans[symbol].end, end or datetime.max)
            )
            for month, candles in _months(session, symbol, span):
                waiting.append(pool.submit(_fingerprint_month, symbol, month, candles))
                if len(waiting) > _MOST_WAITING:
                    months.append(waiting.popleft().result())
        months += [future.result() for future in waiting]
    return Fingerprint(tuple(months))


def _spans(session: Session, symbols: Sequence[str]) -> list[tuple[Any, ...]]:
    """Returns symbol, first and last minute of each given symbol that is stored; of all if none is given.

    If symbols are given, the others are not read.
    """
    if not symbols:
        return session.run("read/symbol_spans")
    rows = [(symbol, *session.run("read/symbol_span", symbol=symbol)[0]) for symbol in dict.fromkeys(symbols)]
    return [row for row in rows if row[1] is not None]


def hash_candles(candles: pa.Table) -> str:
    """Returns the SHA-256 of the candles' values, as this module's docstring defines it, in hexadecimal."""
    candles = _sorted(candles.select(_COLUMNS))
    digest = hashlib.sha256()
    for name in _COLUMNS:
        digest.update(_value_bytes(candles[name].combine_chunks()))
    for name in _MAYBE_UNKNOWN:
        digest.update(_buffer(pc.cast(pc.is_valid(candles[name]).combine_chunks(), pa.uint8()), 1))
    return digest.hexdigest()


def month_range(month: str) -> TimeRange:
    """Returns the range of a month such as ``2024-01``."""
    return month_of(datetime.strptime(month, "%Y-%m"))  # noqa: DTZ007 - naive means UTC


def _months(session: Session, symbol: str, span: TimeRange) -> Iterator[tuple[str, pa.Table]]:
    """Yields each month of a range that has candles, with its candles. Reads one calendar year at a time."""
    start = span.start
    while start < span.end:
        end = min(datetime(start.year + 1, 1, 1), span.end)
        year = _sorted(session.query("fingerprints/candle_values", symbol=symbol, start=start, end=end))
        done = 0
        while start < end:
            month, start = f"{start:%Y-%m}", min(month_of(start).end, end)
            reached = pc.sum(pc.less(year["open_time"], start)).as_py() or 0
            if reached > done:
                yield month, year.slice(done, reached - done)
            done = reached


def _fingerprint_month(symbol: str, month: str, candles: pa.Table) -> MonthFingerprint:
    return MonthFingerprint(symbol, month, candles.num_rows, hash_candles(candles))


def _sorted(candles: pa.Table) -> pa.Table:
    times = candles["open_time"].combine_chunks()
    if len(times) > 1 and not pc.all(pc.greater(times[1:], times[:-1])).as_py():
        return candles.sort_by("open_time")
    return candles


def _value_bytes(values: pa.Array) -> memoryview | bytes:
    """Returns the values of one column as 8 bytes each, little-endian."""
    if not pa.types.is_floating(values.type):
        return _buffer(pc.fill_null(pc.cast(values, pa.int64()), 0), 8)
    # Adding zero turns minus zero into zero and does not change any other number.
    values = pc.add(pc.fill_null(values, 0.0) if values.null_count else values, 0.0)
    # If the sum is a number, no value is NaN.
    if math.isnan(pc.sum(values).as_py() or 0.0):
        values = pc.if_else(pc.is_nan(values), _NAN, values)
    return _buffer(values, 8)


def _buffer(values: pa.Array, width: int) -> memoryview | bytes:
    view = memoryview(values.buffers()[1])[values.offset * width : (values.offset + len(values)) * width]
    if width > 1 and sys.byteorder == "big":
        words = array.array("Q", view.tobytes())
        words.byteswap()
        return words.tobytes()
    return view
