"""What has to be asked of the exchange for a range, and what that costs. Pure functions: no network, no store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from threadx_duck.exchange import KLINES_WEIGHT, PAGE_CANDLES
from threadx_duck.times import MINUTE, TimeRange

# A page of 1000 candles is about 180 bytes a candle (measured on recorded answers).
_BYTES_PER_REST_CANDLE = 180


@dataclass(frozen=True)
class PlannedRequest:
    """A range to ask of a source, why, and what it is expected to cost."""

    symbol: str
    source: str
    wanted: TimeRange
    reason: str
    requests: int
    weight: int
    bytes: int
    rows: int


@dataclass(frozen=True)
class SymbolPlan:
    """All that is to be asked for one symbol, in time order.

    ``find_listing`` says that the first candle has to be found first: minutes before it need not be asked.
    """

    symbol: str
    requests: tuple[PlannedRequest, ...]
    find_listing: bool = False


def plan_symbol(symbol: str, missing: Sequence[TimeRange], *, find_listing: bool) -> SymbolPlan:
    """The requests that make the missing ranges conclusive. ``missing`` is sorted and disjoint."""
    requests = tuple(_plan_rest(symbol, wanted) for wanted in _joined(missing))
    return SymbolPlan(symbol, requests, find_listing)


def _joined(missing: Sequence[TimeRange]) -> list[TimeRange]:
    """Ranges that one page holds together become one: asking the minutes between costs nothing."""
    joined: list[TimeRange] = []
    for wanted in missing:
        if joined and wanted.end - joined[-1].start <= PAGE_CANDLES * MINUTE:
            joined[-1] = TimeRange(joined[-1].start, wanted.end)
        else:
            joined.append(wanted)
    return joined


def _plan_rest(symbol: str, wanted: TimeRange) -> PlannedRequest:
    pages = -(-wanted.minutes // PAGE_CANDLES)
    return PlannedRequest(
        symbol=symbol,
        source="rest",
        wanted=wanted,
        reason="no conclusive request covers it",
        requests=pages,
        weight=pages * KLINES_WEIGHT,
        bytes=wanted.minutes * _BYTES_PER_REST_CANDLE,
        rows=wanted.minutes,
    )
