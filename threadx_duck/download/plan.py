"""Chooses the source of each missing range and estimates the cost. Pure functions: no network, no store."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from threadx_duck.archive.names import ArchiveFile, FileSource
from threadx_duck.candles.ranges import TimeRange, day_of, join_ranges, month_of, split_ranges
from threadx_duck.candles.times import DAY, MINUTE
from threadx_duck.exchange.markets import KLINES_WEIGHT, PAGE_CANDLES

Source = Literal["archive_monthly", "archive_daily", "rest"]
SourceChoice = Literal["auto", "rest", "archive"]

# The sources that each choice allows, lowest rank first: where their answers differ, the later source is stored.
SOURCES: dict[str, tuple[Source, ...]] = {
    "auto": ("archive_monthly", "archive_daily", "rest"),
    "rest": ("rest",),
    "archive": ("archive_monthly", "archive_daily"),
}

# A file is published some hours to some days after its period. If REST may be used, a file is not requested sooner
# than this, so that REST delivers the last one to two days.
_PUBLISHED_AFTER = DAY

# A candle takes about 180 bytes in a REST answer and 55 in a zip (measured on recorded answers and files).
_BYTES_PER_REST_CANDLE = 180
_BYTES_PER_ARCHIVE_CANDLE = 55
# Each file takes two requests: the zip and its checksum.
_REQUESTS_PER_FILE = 2


@dataclass(frozen=True)
class Costs:
    """The time that a download takes, in seconds, with many requests in flight at once.

    A REST call cannot take less than its share of the request budget. The archive has no request budget.
    """

    rest_call: float = 0.05
    archive_request: float = 0.03
    byte: float = 1e-7
    row: float = 1e-6


@dataclass(frozen=True)
class PlannedRequest:
    """A range to request from a source, the reason, and the expected cost.

    ``missing`` are the parts of ``wanted`` that are needed; the minutes between them are fetched with them.
    """

    symbol: str
    source: Source
    wanted: TimeRange
    reason: str
    requests: int
    weight: int
    bytes: int
    rows: int
    seconds: float = 0.0
    missing: tuple[TimeRange, ...] = ()

    @property
    def file(self) -> ArchiveFile | None:
        """The archive file that is requested; None for REST."""
        if self.source == "rest":
            return None
        period = (day_of if self.source == "archive_daily" else month_of)(self.wanted.start)
        return ArchiveFile(self.source, self.symbol, period.start)


@dataclass(frozen=True)
class SymbolPlan:
    """All requests for one symbol, in time order.

    ``find_listing`` says that the symbol's first candle has to be found first: earlier minutes are not requested.
    """

    symbol: str
    requests: tuple[PlannedRequest, ...]
    find_listing: bool = False

    @property
    def missing(self) -> list[TimeRange]:
        """The ranges that the requests are for."""
        return [part for request in self.requests for part in request.missing]

    @property
    def minutes(self) -> int:
        """The number of minutes that the requests span."""
        return sum(request.wanted.minutes for request in self.requests)


@dataclass(frozen=True)
class Planner:
    """Chooses between sources by the exchange's ``clock``, by cost, and by what is known about single files.

    ``sources`` are those that may be used, lowest rank first. ``kept`` files are on this machine; ``absent`` files
    are known not to exist. Whether any other file exists is found out by requesting it.
    """

    clock: datetime
    sources: tuple[Source, ...] = SOURCES["auto"]
    costs: Costs = Costs()
    kept: Container[ArchiveFile] = frozenset()
    absent: Container[ArchiveFile] = frozenset()

    def plan(self, symbol: str, missing: Sequence[TimeRange], *, find_listing: bool = False) -> SymbolPlan:
        """Returns the requests that make the missing ranges conclusive, in time order.

        ``missing`` is sorted and disjoint.

        If REST may be used, the requests are for exactly the missing ranges. If not, the minutes of a day that is
        not over are left out.
        """
        chosen: list[PlannedRequest] = []
        for month, parts in split_ranges(missing, month_of).items():
            chosen += min(self._options(symbol, month, parts), key=_preference)
        return SymbolPlan(symbol, tuple(self._with_joined_rest(symbol, chosen)), find_listing)

    def _options(self, symbol: str, month: TimeRange, parts: list[TimeRange]) -> list[list[PlannedRequest]]:
        """Returns the alternative sets of requests for the missing parts of one month."""
        options: list[list[PlannedRequest]] = []
        if self._may_ask("archive_monthly", symbol, month):
            options.append([self._file("archive_monthly", symbol, month, parts, _reason_for_month(month, parts))])
        options.append(self._by_days(symbol, parts))
        if "rest" in self.sources:
            options.append([self._rest(symbol, joined) for joined in join_for_rest(parts)])
        return options

    def _by_days(self, symbol: str, parts: list[TimeRange]) -> list[PlannedRequest]:
        """Returns requests for daily files where they are cheaper than the same minutes over REST, else for REST."""
        requests: list[PlannedRequest] = []
        for day, pieces in split_ranges(parts, day_of).items():
            rest = [self._rest(symbol, joined) for joined in join_for_rest(pieces)] if "rest" in self.sources else []
            if self._may_ask("archive_daily", symbol, day):
                daily = self._file("archive_daily", symbol, day, pieces, "the day's file is published")
                if not rest or daily.seconds < sum(request.seconds for request in rest):
                    requests.append(daily)
                    continue
            requests += rest
        return self._with_joined_rest(symbol, requests)

    def _may_ask(self, source: FileSource, symbol: str, period: TimeRange) -> bool:
        patience = _PUBLISHED_AFTER if "rest" in self.sources else 0 * DAY
        return (
            source in self.sources
            and period.end + patience <= self.clock
            and ArchiveFile(source, symbol, period.start) not in self.absent
        )

    def _file(
        self, source: FileSource, symbol: str, period: TimeRange, parts: list[TimeRange], reason: str
    ) -> PlannedRequest:
        is_kept = ArchiveFile(source, symbol, period.start) in self.kept
        requests = 0 if is_kept else _REQUESTS_PER_FILE
        size = 0 if is_kept else period.minutes * _BYTES_PER_ARCHIVE_CANDLE
        wanted = TimeRange(parts[0].start, parts[-1].end)
        return PlannedRequest(
            symbol=symbol,
            source=source,
            wanted=wanted,
            reason="the file was kept" if is_kept else reason,
            requests=requests,
            weight=0,
            bytes=size,
            rows=wanted.minutes,
            seconds=requests * self.costs.archive_request + size * self.costs.byte + period.minutes * self.costs.row,
            missing=tuple(parts),
        )

    def _rest(self, symbol: str, parts: list[TimeRange]) -> PlannedRequest:
        wanted = TimeRange(parts[0].start, parts[-1].end)
        pages = -(-wanted.minutes // PAGE_CANDLES)
        size = wanted.minutes * _BYTES_PER_REST_CANDLE
        return PlannedRequest(
            symbol=symbol,
            source="rest",
            wanted=wanted,
            reason=self._reason_for_rest(wanted),
            requests=pages,
            weight=pages * KLINES_WEIGHT,
            bytes=size,
            rows=wanted.minutes,
            seconds=pages * self.costs.rest_call + size * self.costs.byte + wanted.minutes * self.costs.row,
            missing=tuple(parts),
        )

    def _reason_for_rest(self, wanted: TimeRange) -> str:
        if self.sources == ("rest",):
            return "no conclusive request covers it"
        if day_of(wanted.end - MINUTE).end + _PUBLISHED_AFTER > self.clock:
            return "too recent for the archive"
        return "fewer requests than a file takes" if wanted.minutes <= PAGE_CANDLES else "cheaper than files"

    def _with_joined_rest(self, symbol: str, requests: Iterable[PlannedRequest]) -> list[PlannedRequest]:
        """Returns the requests, with REST requests joined where they follow one another or fit into one page."""
        joined: list[PlannedRequest] = []
        for request in requests:
            before = joined[-1] if joined else None
            if before and before.source == request.source == "rest" and _go_together(before.wanted, request.wanted):
                joined[-1] = self._rest(symbol, join_ranges([*before.missing, *request.missing]))
            else:
                joined.append(request)
        return joined


def join_for_rest(missing: Iterable[TimeRange]) -> list[list[TimeRange]]:
    """Returns ranges grouped for REST: ranges that fit into one page are requested together at no extra cost."""
    groups: list[list[TimeRange]] = []
    for part in missing:
        if groups and _go_together(TimeRange(groups[-1][0].start, groups[-1][-1].end), part):
            groups[-1].append(part)
        else:
            groups.append([part])
    return groups


def _go_together(before: TimeRange, after: TimeRange) -> bool:
    return before.end == after.start or after.end - before.start <= PAGE_CANDLES * MINUTE


def _preference(option: Iterable[PlannedRequest]) -> tuple[int, float]:
    """Sort key: the option that delivers more minutes comes first; among equals, the one that takes less time."""
    requests = list(option)
    brought = sum(part.minutes for request in requests for part in request.missing)
    return -brought, sum(request.seconds for request in requests)


def _reason_for_month(month: TimeRange, parts: list[TimeRange]) -> str:
    return "the whole month is past" if parts == [month] else "cheaper than daily files or REST for what is missing"
