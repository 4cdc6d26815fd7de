"""Verifies the derived candles in which an ingest has changed minutes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from threadx_duck.audit.natives import has_own_grid, native_timeframe
from threadx_duck.audit.verification import verify_ranges
from threadx_duck.candles.ranges import TimeRange, join_ranges
from threadx_duck.candles.timeframes import Timeframe
from threadx_duck.candles.times import MINUTE
from threadx_duck.download.results import SymbolResult, TimeframeResult
from threadx_duck.errors import DownloadError

if TYPE_CHECKING:
    from threadx_duck.audit.comparison import Comparer, Comparison, Ranges
    from threadx_duck.storage.store import Store


def validate_results(
    store: Store,
    comparer: Comparer | None,
    results: Mapping[str, SymbolResult],
    timeframes: Sequence[Timeframe],
    wanted: TimeRange,
) -> None:
    """Adds a `TimeframeResult` for each timeframe to each result.

    Only candles in which the ingest changed minutes are compared, and none without a ``comparer``. The result holds
    how many were compared and how many could not be compared. A difference is repaired once; if it remains, it is
    reported. A symbol fails if the exchange's candles for it cannot be fetched. Raises `StoreError`.
    """
    for timeframe in timeframes:
        with store.reading() as session:
            counts = session.run(
                "validate/candle_counts",
                symbols=list(results),
                width=timeframe.width,
                start=wanted.start,
                end=wanted.end,
            )
        found = {symbol: TimeframeResult(candles) for symbol, candles in counts}
        for symbol, result in results.items():
            result.timeframes[timeframe.label] = found.get(symbol, TimeframeResult(0))
        if comparer is not None and native_timeframe(timeframe) is not None:
            changed = _changed(store, results, timeframe)
            try:
                _verify(store, comparer, results, timeframe, changed)
            except DownloadError as error:
                _fail(results, dict.fromkeys(changed, str(error)), timeframe)
                comparer = None


def _verify(
    store: Store, comparer: Comparer, results: Mapping[str, SymbolResult], timeframe: Timeframe, changed: Ranges
) -> None:
    if not changed:
        return
    counts: dict[str, Comparison] = {}
    verification = verify_ranges(store, comparer, changed, timeframe, repair=True, counts=counts)
    for symbol, comparison in counts.items():
        found = results[symbol].timeframes[timeframe.label]
        found.compared, found.uncompared = comparison.compared, comparison.uncompared
    for mismatch in verification.mismatches:
        results[mismatch.symbol].timeframes[timeframe.label].mismatches.append(mismatch)
    _fail(results, verification.failed, timeframe)


def _fail(results: Mapping[str, SymbolResult], failed: Mapping[str, str], timeframe: Timeframe) -> None:
    for symbol, error in failed.items():
        if results[symbol].status == "failed":
            continue
        results[symbol].status = "failed"
        results[symbol].error = f"The {timeframe.label} candles could not be verified: {error}"


def _changed(store: Store, results: Mapping[str, SymbolResult], timeframe: Timeframe) -> Ranges:
    """Returns the ranges of open times of the candles in which this ingest's requests changed minutes."""
    request_ids = [request_id for result in results.values() for request_id in result.request_ids]
    if not request_ids:
        return {}
    # Where the exchange has a grid of its own, its candle may open up to one width before ours.
    reach = timeframe.step - MINUTE if has_own_grid(timeframe) else MINUTE * 0
    changed: Ranges = {}
    with store.reading() as session:
        rows = session.run("validate/changed_candles", request_ids=request_ids, width=timeframe.width)
    for symbol, start, end in rows:
        changed.setdefault(symbol, []).append(TimeRange(start - reach, end))
    return {symbol: join_ranges(ranges) for symbol, ranges in changed.items()}
