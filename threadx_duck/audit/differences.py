"""Compares two stores: finds the months whose fingerprints differ, and the ranges and values that differ in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from threadx_duck.audit.fingerprints import Fingerprint, compute_fingerprint, month_range
from threadx_duck.candles.klines import typed
from threadx_duck.candles.ranges import TimeRange, join_ranges
from threadx_duck.config import with_database
from threadx_duck.errors import UsageError
from threadx_duck.storage.store import Store
from threadx_duck.texts.symbols import offer

if TYPE_CHECKING:
    from threadx_duck.config import StoreSettings


@dataclass(frozen=True)
class DifferingRange:
    """A run of minutes that only one store has, or whose values differ between the stores."""

    symbol: str
    range_start: datetime
    range_end: datetime
    minutes: int
    kind: Literal["only_here", "only_there", "differs"]


@dataclass(frozen=True)
class DifferingValue:
    """A value that differs, of a minute that both stores have."""

    symbol: str
    open_time: datetime
    field: str
    here: float | int | None
    there: float | int | None


@dataclass
class Differences:
    """The differences between two stores; ``here`` and ``there`` are their fingerprints."""

    here: Fingerprint
    there: Fingerprint
    ranges: list[DifferingRange] = field(default_factory=list)
    candles: list[DifferingValue] = field(default_factory=list)


def compare_stores(
    settings: StoreSettings,
    other: str | Path,
    symbols: Sequence[str] = (),
    start: datetime | None = None,
    end: datetime | None = None,
) -> Differences:
    """Compares the candles of a store with those of another store, a file or a lake. Writes to neither.

    Raises `UsageError` if both are the same store or a symbol is in neither, `StoreError` if one of them cannot be
    read or holds another market.
    """
    store, there = Store(settings), Store(with_database(settings, str(other)))
    if is_same(store, there):
        raise UsageError(f"{there.name} is this very store. Name another one.")
    result = Differences(
        compute_fingerprint(store, symbols, start, end, missing_ok=True),
        compute_fingerprint(there, symbols, start, end, missing_ok=True),
    )
    symbols = store.named(symbols)
    stored = {month.symbol for fingerprint in (result.here, result.there) for month in fingerprint.months}
    unknown = [symbol for symbol in symbols if symbol not in stored]
    if unknown:
        names = sorted({*store.symbols(), *there.symbols()})
        offered = offer(unknown[0], names) if unknown[0] not in names else ""
        raise UsageError(f"Neither store has candles of {', '.join(unknown)} in this range.{offered}")
    wanted = TimeRange.of(start, end)
    with store.reading(alone=True) as session:
        session.attach(there.address, "the_other_store")
        for symbol, span in _differing_months(result.here, result.there):
            bounds = {"symbol": symbol, "start": max(span.start, wanted.start), "end": min(span.end, wanted.end)}
            result.ranges += [
                DifferingRange(symbol, range_start, range_end, minutes, kind)
                for kind, range_start, range_end, minutes in session.run("differences/differing_ranges", **bounds)
            ]
            result.candles += [
                DifferingValue(symbol, open_time, name, typed(name, mine), typed(name, theirs))
                for open_time, name, mine, theirs in session.run("differences/differing_candles", **bounds)
            ]
    return result


def is_same(store: Store, other: Store) -> bool:
    """Whether two stores are the same: one file, under whatever names, or one catalog address."""
    if isinstance(store.address, Path) and isinstance(other.address, Path):
        return store.exists and other.exists and other.address.samefile(store.address)
    return store.address == other.address


def _differing_months(here: Fingerprint, there: Fingerprint) -> list[tuple[str, TimeRange]]:
    """Returns the symbols and months whose fingerprints differ; adjacent months are joined into one range."""
    differing = sorted({(month.symbol, month.month) for month in set(here.months) ^ set(there.months)})
    spans: dict[str, list[TimeRange]] = {}
    for symbol, month in differing:
        spans.setdefault(symbol, []).append(month_range(month))
    return [(symbol, span) for symbol, months in spans.items() for span in join_ranges(months)]
