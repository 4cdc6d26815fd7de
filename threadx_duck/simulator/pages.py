"""Finds the candles of one symbol and interval that answer a request, and renders them.

It renders rows in blocks, each at the first request for it; a page is then a slice of one or two blocks.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from threading import Lock
from typing import TYPE_CHECKING

import pyarrow as pa

from threadx_duck.simulator.market import open_times
from threadx_duck.simulator.rollup import bucket_ends
from threadx_duck.simulator.rows import TimeUnit, json_rows

if TYPE_CHECKING:
    from threadx_duck.simulator.market import SymbolMarket

_BLOCK_ROWS = 16_384

# The rendered rows of a block, and the offset at which each row begins.
_Block = tuple[memoryview, memoryview]


class Pages:
    """The pages of one symbol's candles of one interval."""

    def __init__(self, market: SymbolMarket, interval: str, unit: TimeUnit, *, offset_us: int = 0) -> None:
        table = market.candles_of(interval, offset_us=offset_us).combine_chunks()
        self._interval, self._unit, self._offset_us = interval, unit, offset_us
        self._batch = (table.to_batches() or [pa.RecordBatch.from_pylist([], schema=table.schema)])[0]
        self._open_us = open_times(table)
        self._blocks: dict[int, _Block] = {}
        self._lock = Lock()

    def page(self, start_us: int | None, end_us: int | None, limit: int, now_us: int) -> bytes:
        """Returns a JSON array of at most ``limit`` candles that open in ``[start_us, end_us]``.

        Without a start these are the newest. All times are in microseconds, both bounds inclusive. A candle
        that opens after ``now_us`` does not exist yet; the candle whose interval is not over comes last, with
        the values that it has so far.
        """
        visible = bisect_right(self._open_us, now_us)
        last = visible if end_us is None else min(visible, bisect_right(self._open_us, end_us))
        if start_us is None:
            first = max(0, last - limit)
        else:
            first = bisect_left(self._open_us, start_us)
            last = min(last, first + limit)
        if first >= last:
            return b"[]"
        forming = last == visible and self._ends_after(last - 1, now_us)
        pieces = self._slices(first, last - 1 if forming else last)
        if forming:
            pieces.append(self._forming_row(last - 1, now_us))
        return b"".join((b"[", *pieces))[:-1] + b"]"

    def prepare(self) -> None:
        """Renders every row now, so that no later answer waits for that."""
        for number in range(-(-len(self._open_us) // _BLOCK_ROWS)):
            self._block(number)

    def _slices(self, first: int, last: int) -> list[bytes | memoryview]:
        """Returns the rendered rows ``[first, last)``, each with its comma."""
        pieces: list[bytes | memoryview] = []
        while first < last:
            number, row = divmod(first, _BLOCK_ROWS)
            stop = min(last - number * _BLOCK_ROWS, _BLOCK_ROWS)
            data, offsets = self._block(number)
            pieces.append(data[offsets[row] : offsets[stop]])
            first = number * _BLOCK_ROWS + stop
        return pieces

    def _block(self, number: int) -> _Block:
        with self._lock:
            if number not in self._blocks:
                self._blocks[number] = self._render(self._batch.slice(number * _BLOCK_ROWS, _BLOCK_ROWS))
            return self._blocks[number]

    def _render(self, batch: pa.RecordBatch) -> _Block:
        rows = json_rows(batch, self._interval, self._unit, offset_us=self._offset_us)
        offsets, data = rows.buffers()[1:]
        return memoryview(data), memoryview(offsets).cast("i")[rows.offset :]

    def _ends_after(self, row: int, now_us: int) -> bool:
        end: int = self._end_us(row)
        return end > now_us

    def _end_us(self, row: int) -> int:
        open_us = pa.array([self._open_us[row]], pa.int64())
        end: int = bucket_ends(open_us, self._interval, offset_us=self._offset_us)[0].as_py()
        return end

    def _forming_row(self, row: int, now_us: int) -> bytes:
        """Returns the candle in progress: a share of its final volume, and a close on the way to the final one."""
        candle = self._batch.slice(row, 1).to_pylist()[0]
        open_us = self._open_us[row]
        # Never the whole volume: a stored candle in progress must differ from the final one.
        share = 0.9 * (now_us - open_us) / (self._end_us(row) - open_us)
        opened, final = candle["open"], candle["close"]
        close = round(opened + (final - opened) * share, 8)
        volume = round(candle["volume"] * share, 8)
        candle |= {
            "close": close,
            "high": max(opened, close),
            "low": min(opened, close),
            "volume": volume,
            "quote_volume": round(volume * close, 8),
            "trade_count": max(1, int(candle["trade_count"] * share)) if volume else 0,
            "taker_buy_volume": round(candle["taker_buy_volume"] * share, 8),
        }
        candle["taker_buy_quote_volume"] = round(candle["taker_buy_volume"] * close, 8)
        data, offsets = self._render(pa.RecordBatch.from_pylist([candle], schema=self._batch.schema))
        return bytes(data[: offsets[1]])
