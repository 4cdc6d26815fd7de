"""Verifies derived candles against the exchange's own candles, finds the cause of each difference, and repairs it.

A difference is traced from the verified timeframe down to days, hours and minutes, as far as the exchange's
narrower candles differ as well. A repair fetches both sides again and compares once more.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal, NamedTuple

from threadx_duck.audit.comparison import (
    AskedAt,
    Comparer,
    Comparison,
    DifferingMinutes,
    Mismatch,
    Wanted,
    require_native,
)
from threadx_duck.candles.ranges import TimeRange, join_ranges, month_of
from threadx_duck.candles.timeframes import ONE_MINUTE, TIMEFRAMES, Timeframe
from threadx_duck.candles.times import format_time
from threadx_duck.errors import DownloadError
from threadx_duck.exchange.markets import PAGE_CANDLES
from threadx_duck.ledger.append import append_to_store
from threadx_duck.ledger.requests import make_batches

if TYPE_CHECKING:
    from threadx_duck.storage.store import Store

_LEVELS = (TIMEFRAMES["1d"], TIMEFRAMES["1h"])

# Without a repair, differences are not traced further if that takes more requests than this.
_MOST_PAGES = 100

Status = Literal["found", "repaired", "remains"]


@dataclass(frozen=True)
class Cause:
    """The narrowest range that explains mismatches, and a note on it.

    ``timeframe`` is the narrowest timeframe with a difference: ``1m`` if stored minutes differ. ``status`` is
    ``found``, or after a repair ``repaired`` or ``remains``.
    """

    symbol: str
    range_start: datetime
    range_end: datetime
    timeframe: str
    status: Status
    note: str


@dataclass
class Verification:
    """The result of a verification: ``matching`` of ``compared`` candles equal the exchange's own.

    ``uncompared`` is the number of closed candles in the range that could not be compared, because some of their
    minutes are neither stored nor known to be absent. ``failed`` maps each symbol whose candles could not be fetched
    to the error; the numbers do not include its candles.
    """

    timeframe: str
    compared: int = 0
    matching: int = 0
    uncompared: int = 0
    mismatches: list[Mismatch] = field(default_factory=list)
    causes: list[Cause] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def verify_ranges(
    store: Store,
    comparer: Comparer,
    wanted: Wanted,
    timeframe: Timeframe,
    *,
    repair: bool = False,
    counts: dict[str, Comparison] | None = None,
) -> Verification:
    """Compares the candles that open in the given ranges, if their minutes are stored or known to be absent.

    ``repair`` fetches both sides of each difference again. ``counts`` receives each symbol's comparison before any
    repair. A symbol whose candles cannot be fetched is reported and does not stop the others. Raises `UsageError`
    for a timeframe that cannot be compared with any of the exchange's, `DownloadError` if the exchange refuses all
    requests, `StoreError` if the store cannot be used; everything stored before remains.
    """
    result = Verification(timeframe.label)
    comparer.failed.clear()
    for symbol, comparison in comparer.compare(wanted, timeframe).items():
        remaining = comparison
        if counts is not None:
            counts[symbol] = comparison
        if comparison.mismatches:
            inquiry = _Inquiry(store, comparer, symbol, timeframe, repair=repair)
            try:
                remaining = inquiry.run(comparison)
            except DownloadError as error:
                if error.stops_run:
                    raise
                comparer.failed[symbol] = str(error)
            result.causes += inquiry.causes
        result.compared += comparison.compared
        result.matching += comparison.compared - len(remaining.opens)
        result.uncompared += comparison.uncompared
        result.mismatches += remaining.mismatches
    result.failed = dict(comparer.failed)
    return result


def candle_range(timeframe: Timeframe, open_time: datetime) -> TimeRange:
    """Returns the range of the candle that opens at a time."""
    if timeframe.minutes is None:
        return month_of(open_time)
    return TimeRange(open_time, open_time + timeframe.step)


class _Finding(NamedTuple):
    """A range that explains a mismatch: candles of ``timeframe`` differ in it, those of ``narrower`` do not.

    ``minutes`` counts the stored minutes that differ, if any do. If both are None, the difference was not traced
    further.
    """

    span: TimeRange
    timeframe: Timeframe
    narrower: Timeframe | None = None
    minutes: DifferingMinutes | None = None


class _Inquiry:
    """Traces the mismatches of one symbol to their causes, and repairs them if ``repair`` is set."""

    def __init__(self, store: Store, comparer: Comparer, symbol: str, timeframe: Timeframe, *, repair: bool) -> None:
        self._store = store
        self._comparer = comparer
        self._symbol = symbol
        self._timeframe = timeframe
        self._native = require_native(timeframe)
        self._repair = repair
        self._findings: list[_Finding] = []
        self._answer_changed: set[datetime] = set()
        self.causes: list[Cause] = []

    def run(self, found: Comparison) -> Comparison:
        """Finds the causes; returns the candles that still differ."""
        candles = self._ranges(found)
        before = self._asked_at(candles)
        if self._repair:
            found = self._ask_theirs_again(found, candles, before)
            candles = self._ranges(found)
        if candles:
            self._follow(candles)
            if self._repair:
                found = self._compare(candles, self._timeframe)
            self._conclude(candles, found.opens, before)
        return found

    def _ask_theirs_again(
        self, found: Comparison, candles: list[TimeRange], before: dict[datetime, AskedAt]
    ) -> Comparison:
        """Replaces the exchange's candles by those of a new answer; returns the candles that still differ."""
        self._comparer.ask_again(self._symbol, self._timeframe, candles)
        remaining = self._compare(candles, self._timeframe)
        after, still = self._asked_at(candles), set(remaining.opens)
        earlier = {(mismatch.open_time, mismatch.field): mismatch.theirs for mismatch in found.mismatches}
        self._answer_changed = {
            mismatch.open_time
            for mismatch in remaining.mismatches
            if earlier.get((mismatch.open_time, mismatch.field), mismatch.theirs) != mismatch.theirs
        }
        for span in candles:
            if span.start not in still:
                note = (
                    f"The exchange's {self._native.label} candle of {_when(before[span.start].theirs)} was another "
                    f"than that of {_when(after[span.start].theirs)}, which follows from the stored minutes."
                )
                self._add(span, self._native, "repaired", note)
        return remaining

    def _follow(self, ranges: list[TimeRange]) -> None:
        """Traces differing candles to the narrower candles that differ as well, down to minutes."""
        timeframe = self._timeframe
        for level in (level for level in _LEVELS if _divides(level, self._timeframe)):
            if not self._repair and _pages(ranges, level) > _MOST_PAGES:
                break
            if self._repair:
                self._comparer.ask_again(self._symbol, level, ranges)
            narrower = self._ranges(self._compare(ranges, level), level)
            rest = [span for span in ranges if not _holds_any(span, narrower)]
            if rest and self._repair:
                self._ask_ours_again(rest)
            self._findings += [_Finding(span, timeframe, narrower=level) for span in rest]
            ranges, timeframe = narrower, level
            if not ranges:
                return
        if not self._repair and _pages(ranges, ONE_MINUTE) > _MOST_PAGES:
            self._findings += [_Finding(span, timeframe) for span in join_ranges(ranges)]
            return
        runs = self._ask_ours_again(ranges)
        spans = [run.span for run in runs]
        agreeing = [span for span in ranges if not _holds_any(span, spans)]
        self._findings += [_Finding(span, timeframe, narrower=ONE_MINUTE) for span in agreeing]
        self._findings += [_Finding(run.span, ONE_MINUTE, minutes=run) for run in runs]

    def _ask_ours_again(self, ranges: list[TimeRange]) -> list[DifferingMinutes]:
        """Fetches minutes again and, in a repair, stores them; returns the runs that differed from the stored ones."""
        requests = self._comparer.fetch_minutes(self._symbol, ranges)
        differing = self._comparer.differing_minutes(self._symbol, requests, ranges)
        if self._repair:
            append_to_store(self._store, make_batches(requests))
        return differing

    def _conclude(self, candles: list[TimeRange], still: list[datetime], before: dict[datetime, AskedAt]) -> None:
        """Turns the findings into causes, once the candles that still differ are known."""
        after, left = self._asked_at(candles), set(still)
        starts = [candle.start for candle in candles]
        for finding in sorted(self._findings, key=lambda finding: finding.span):
            opened = starts[bisect_right(starts, finding.span.start) - 1]
            status: Status = "found" if not self._repair else "remains" if opened in left else "repaired"
            note = self._note(finding, opened, before[opened], after[opened], status)
            self._add(finding.span, finding.timeframe, status, note)

    def _note(self, finding: _Finding, opened: datetime, before: AskedAt, after: AskedAt, status: Status) -> str:
        theirs = f"its answer for {self._native.label} of {_when(after.theirs)}"
        if opened in self._answer_changed:
            theirs += f", another than that of {_when(before.theirs)},"
        if finding.minutes is not None:
            what = _say(finding.minutes, before.ours)
            if status == "found":
                return f"{what}. --repair takes what the exchange answers now."
            kept = "" if finding.minutes.only_answered == finding.span.minutes else "; earlier values are in revisions"
            replaced = f"{what}: now as the exchange answered at {_when(after.ours)}{kept}"
            return f"{replaced}." if status == "repaired" else f"{replaced}; {theirs} still differs."
        if finding.narrower is None:
            return f"Too many differences to follow each; {theirs} differs. --repair asks for all of it again."
        if finding.timeframe != self._timeframe:
            asked = self._comparer.asked_at(self._symbol, finding.timeframe, [finding.span])
            theirs = f"its answer for {finding.timeframe.label} of {_when(asked[finding.span.start].theirs)}"
        label = "minutes" if finding.narrower == ONE_MINUTE else f"{finding.narrower.label} candles"
        revised = "" if after.revised is None else f", revised at {_when(after.revised)}"
        return (
            f"The exchange's own {label} agree with the stored minutes of {_when(before.ours)}{revised}; "
            f"{theirs} does not follow from them."
        )

    def _ranges(self, comparison: Comparison, timeframe: Timeframe | None = None) -> list[TimeRange]:
        return [candle_range(timeframe or self._timeframe, opened) for opened in comparison.opens]

    def _compare(self, ranges: list[TimeRange], timeframe: Timeframe) -> Comparison:
        compared = self._comparer.compare({self._symbol: join_ranges(ranges)}, timeframe)
        return compared.get(self._symbol, Comparison(0, []))

    def _asked_at(self, candles: list[TimeRange]) -> dict[datetime, AskedAt]:
        return self._comparer.asked_at(self._symbol, self._native, candles)

    def _add(self, span: TimeRange, timeframe: Timeframe, status: Status, note: str) -> None:
        self.causes.append(Cause(self._symbol, *span, timeframe.label, status, note))


def _divides(level: Timeframe, timeframe: Timeframe) -> bool:
    if timeframe.minutes is None:
        return True
    return level.minutes is not None and level.minutes < timeframe.minutes and timeframe.minutes % level.minutes == 0


def _pages(ranges: list[TimeRange], level: Timeframe) -> int:
    """Returns about how many requests the ranges take."""
    page = level.step * PAGE_CANDLES
    return sum(-(-(span.end - span.start) // page) for span in join_ranges(ranges, page))


def _holds_any(span: TimeRange, inner: list[TimeRange]) -> bool:
    """Whether any of the sorted ranges ``inner`` overlaps a range."""
    following = bisect_left(inner, span.end, key=lambda other: other.start)
    return following > 0 and inner[following - 1].end > span.start


def _say(run: DifferingMinutes, asked: datetime | None) -> str:
    """Returns text that says how a run of minutes differs."""
    said = [
        (run.differing, "differing minute", f", stored since {_when(asked)}"),
        (run.only_answered, "minute", " not stored"),
        (run.only_stored, "stored minute", " that the exchange does not have"),
    ]
    return "; ".join(f"{count:,} {what}{'' if count == 1 else 's'}{how}" for count, what, how in said if count)


def _when(moment: datetime | None) -> str:
    return "an unknown time" if moment is None else format_time(moment)
