"""Turns the pages of a source into a batch for the store: candles, rejected rows, ledger rows."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import pyarrow as pa

from threadx_duck.candles.arrays import empty, integer, rows
from threadx_duck.candles.klines import CANDLE_SCHEMA, REJECTED_SCHEMA, require_ascending
from threadx_duck.candles.times import EPOCH, MINUTE
from threadx_duck.ledger.page import Page

# Four row groups. Commits of this size write compressed blocks past the log: about 32 bytes per candle, where
# commits of one symbol-month take 37, and three times as fast.
COMMIT_ROWS = 4 * 122_880

REQUEST_SCHEMA: pa.Schema = pa.schema(
    [
        ("request_id", pa.int64()),
        ("symbol", pa.string()),
        ("timeframe", pa.string()),
        ("source", pa.string()),
        ("range_start", pa.timestamp("us")),
        ("range_end", pa.timestamp("us")),
        ("pages", pa.int64()),
        ("url", pa.string()),
        ("sha256", pa.string()),
        ("rows_received", pa.int64()),
        ("rows_rejected", pa.int64()),
        ("requested_at", pa.timestamp("us")),
        ("seconds", pa.float64()),
        ("first_minute", pa.timestamp("us")),
        ("last_minute", pa.timestamp("us")),
    ]
)
_REQUEST_ID = pa.field("request_id", pa.int64())


class Batch(NamedTuple):
    """Tables that are committed together.

    Rows of ``candles`` and ``rejected`` carry the ``request_id`` of their row in ``requests``; its
    ``first_minute`` and ``last_minute`` bound all minutes that the answer covers.
    """

    candles: pa.Table
    rejected: pa.Table
    requests: pa.Table


@dataclass
class OpenRequest:
    """Adjacent pages of one symbol, which become one row of the ledger."""

    first: Page
    request_id: int = field(default_factory=lambda: secrets.randbits(63))
    pages: list[Page] = field(default_factory=list)
    answers: int = 0
    rows: int = 0

    def __post_init__(self) -> None:
        self._hash = hashlib.sha256()
        self.add(self.first)
        self.first = self.pages[0]

    @property
    def range_end(self) -> datetime:
        """The time at which the next page must begin to join this request."""
        return self.pages[-1].range_end

    def joins(self, page: Page) -> bool:
        """Returns True if a page starts where this request ends. A file never joins: it is a request alone."""
        if page.source != "rest":
            return False
        mine = (self.first.symbol, self.first.timeframe, self.first.source)
        # The request that found the listing keeps its own row: nothing else proves where a symbol begins.
        return (
            mine == (page.symbol, page.timeframe, page.source)
            and self.range_end == page.range_start
            and self.first.range_start > EPOCH
        )

    def add(self, page: Page) -> None:
        """Adds the next page, hashes its bodies and drops them."""
        for body in page.bodies:
            self._hash.update(body)
        self.answers += 1 if page.sha256 else len(page.bodies)
        self.rows += page.rows_received
        self.pages.append(page.without_bodies())

    def candles(self) -> pa.Table:
        """Returns all candles, with the request's id. Raises `BadResponseError` if one occurs twice or out of order."""
        table = _tagged([page.candles for page in self.pages], CANDLE_SCHEMA, self.request_id)
        require_ascending(table["open_time"], self.first.url)
        return table

    def rejected(self) -> pa.Table:
        """Returns all rejected rows, with the request's id."""
        return _tagged([page.rejected for page in self.pages], REJECTED_SCHEMA, self.request_id)

    def ledger_row(self) -> dict[str, Any]:
        """Returns the request as a row of `REQUEST_SCHEMA`."""
        opens = [page.candles["open_time"] for page in self.pages if page.candles.num_rows]
        firsts = [self.first.range_start] * (self.first.range_start < self.range_end) + [
            t[0].as_py() for t in opens[:1]
        ]
        lasts = [self.range_end] + [t[-1].as_py() + MINUTE for t in opens[-1:]]
        return {
            "request_id": self.request_id,
            "symbol": self.first.symbol,
            "timeframe": self.first.timeframe,
            "source": self.first.source,
            "range_start": self.first.range_start,
            "range_end": self.range_end,
            "pages": self.answers,
            "url": self.first.url,
            "sha256": self.first.sha256 or self._hash.hexdigest(),
            "rows_received": self.rows,
            "rows_rejected": sum(page.rejected.num_rows for page in self.pages),
            "requested_at": self.first.requested_at,
            "seconds": sum(page.seconds for page in self.pages),
            "first_minute": min(firsts, default=self.first.range_start),
            "last_minute": max(lasts),
        }


@dataclass
class Buffer:
    """Answers that wait for their commit, in order of arrival; those of one symbol are in time order."""

    requests: list[OpenRequest] = field(default_factory=list)
    rows: int = 0

    def add(self, page: Page) -> None:
        """Adds a page: to its symbol's last request if it starts where that ends, else as a new request."""
        last = next((request for request in reversed(self.requests) if request.first.symbol == page.symbol), None)
        if last is not None and last.joins(page):
            last.add(page)
        else:
            self.requests.append(OpenRequest(page))
        self.rows += page.rows_received


def make_batches(requests: Sequence[OpenRequest]) -> list[Batch]:
    """Returns the tables of several requests. Requests that overlap in time go to different batches, in order."""
    rounds: list[list[tuple[OpenRequest, dict[str, Any]]]] = []
    for request in requests:
        row = request.ledger_row()
        earlier = [number for number, others in enumerate(rounds) if any(_overlap(row, other) for _, other in others)]
        number = earlier[-1] + 1 if earlier else 0
        rounds[number:] = rounds[number:] or [[]]
        rounds[number].append((request, row))
    return [_make_batch(members) for members in rounds]


def _overlap(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return bool(
        one["symbol"] == other["symbol"]
        and one["first_minute"] < other["last_minute"]
        and other["first_minute"] < one["last_minute"]
    )


def _make_batch(members: list[tuple[OpenRequest, dict[str, Any]]]) -> Batch:
    return Batch(
        candles=pa.concat_tables([request.candles() for request, _ in members]),
        rejected=pa.concat_tables([request.rejected() for request, _ in members]),
        requests=rows([row for _, row in members], REQUEST_SCHEMA),
    )


def _tagged(tables: list[pa.Table], schema: pa.Schema, request_id: int) -> pa.Table:
    table = pa.concat_tables([empty(schema), *tables])
    return table.append_column(_REQUEST_ID, pa.repeat(integer(request_id), table.num_rows))
