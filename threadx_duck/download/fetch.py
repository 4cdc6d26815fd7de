"""Carries out the plan of one symbol.

Files are fetched ahead. Minutes that a file lacks are requested from other sources at once. Pages are yielded in
time order.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import NamedTuple

from threadx_duck.archive.listing import NotListed
from threadx_duck.archive.names import ArchiveFile
from threadx_duck.archive.source import ArchiveSource, FileAnswer
from threadx_duck.candles.klines import absent_ranges
from threadx_duck.candles.ranges import TimeRange, intersect_ranges, join_ranges
from threadx_duck.candles.timeframes import ONE_MINUTE
from threadx_duck.candles.times import MINUTE
from threadx_duck.download.plan import SOURCES, PlannedRequest, Planner, SymbolPlan
from threadx_duck.errors import STOPPED, DownloadError, UnknownSymbolError
from threadx_duck.exchange.markets import PAGE_CANDLES
from threadx_duck.exchange.rest import RestSource
from threadx_duck.ledger.page import Page
from threadx_duck.texts.symbols import offer

# How many candles may be fetched ahead of the one that is being yielded, for all symbols together: half a year.
# A parsed candle takes about 100 bytes, and 60 more while its zip is held.
_ROWS_AHEAD = 6 * 44_640
_FILES_AHEAD = 24

# For a hole longer than this, one REST call first finds out whether it contains any candle at all.
_LONG_HOLE = 3 * PAGE_CANDLES * MINUTE

# A monthly file may be published this late. If an older monthly file does not exist, its daily files hardly exist.
_LATEST_PUBLICATION = timedelta(days=45)


class KnownNames(NamedTuple):
    """Names of symbols, and the number of answers that it took to learn them."""

    names: Collection[str]
    answers: int


class Sources(NamedTuple):
    """The sources that exist; a `threadx_duck.download.plan.Planner` says which of them may be used.

    ``names`` returns the known symbol names, from which a correction for a mistyped symbol is suggested.
    """

    rest: RestSource
    archive: ArchiveSource
    names: Callable[[], KnownNames] = lambda: KnownNames((), 0)


class Delivery(NamedTuple):
    """Pages to be committed together, in the order in which they are to be appended.

    ``minutes`` is the number of planned minutes that the pages settle, ``answers`` the number of answers that they
    took, ``notes`` holds messages for the user. ``before_listing`` is the number of planned minutes before the
    symbol's first candle.
    """

    symbol: str
    pages: tuple[Page, ...]
    minutes: int
    answers: int
    notes: tuple[str, ...]
    before_listing: int = 0

    def followed_by(self, more: Delivery) -> Delivery:
        """Returns both as one delivery. The minutes are those of the first, because the second fills its holes."""
        return self._replace(
            pages=self.pages + more.pages, answers=self.answers + more.answers, notes=self.notes + more.notes
        )


class _Listing(NamedTuple):
    """The plan from a symbol's first candle on.

    ``is_told`` says that REST named that candle; ``pages`` holds its answer if the candle is wanted.
    """

    plan: SymbolPlan
    is_told: bool = False
    pages: tuple[Page, ...] = ()


@dataclass(frozen=True)
class _Either(Container[ArchiveFile]):
    """The union of two containers."""

    one: Container[ArchiveFile]
    other: Container[ArchiveFile]

    def __contains__(self, file: object) -> bool:
        return file in self.one or file in self.other


@dataclass
class SymbolDownload:
    """The download of one symbol, on a thread of its own.

    ``planner`` says which sources may be used. ``recheck`` compares kept files with the archive's checksums.
    ``share`` is this symbol's part of all candles that may be fetched ahead.
    """

    plan: SymbolPlan
    planner: Planner
    sources: Sources
    stop: threading.Event
    lookahead: int
    share: float = 1.0
    recheck: bool = False
    _absent: set[ArchiveFile] = field(default_factory=set)
    _untrusted: set[ArchiveFile] = field(default_factory=set)
    _files: dict[ArchiveFile, Future[FileAnswer]] = field(default_factory=dict)
    _not_delivered: list[TimeRange] = field(default_factory=list)
    _answers: int = 0
    _notes: list[str] = field(default_factory=list)
    _has_file: bool = False
    _within: TimeRange | None = None
    _not_listed: NotListed | None = None
    _in_doubt: DownloadError | None = None

    def __post_init__(self) -> None:
        self._is_archive_last = self.planner.sources == SOURCES["archive"]

    def deliveries(self) -> Iterator[Delivery]:
        """Yields the plan's pages in time order, so that a caller who stops early leaves no hole behind.

        Raises `DownloadError`; earlier deliveries remain valid.
        """
        try:
            yield from self._from_listing() if self.plan.find_listing else self._carry_out(self.plan.requests)
            if self._in_doubt is not None and not self._has_file:
                raise self._with_offer(self._in_doubt)
            self._note_not_delivered()
            yield self._deliver([], 0)
        finally:
            for future in self._files.values():
                future.cancel()

    def plan_from_listing(self) -> SymbolPlan:
        """Returns the plan from the symbol's first candle on, which is asked for; nothing else is.

        Raises `DownloadError`, and `UnknownSymbolError` with the nearest name if there is no such symbol.
        """
        return self._find_listing().plan

    def _from_listing(self) -> Iterator[Delivery]:
        """Yields the symbol's first candle, then carries out the plan from there on."""
        found = self._find_listing()
        if found.is_told:
            before = self.plan.minutes - found.plan.minutes
            yield self._deliver(found.pages, 0)._replace(before_listing=before)
        yield from self._carry_out(found.plan.requests)

    def _find_listing(self) -> _Listing:
        # No file is fetched meanwhile: the answer to this request tells whether the symbol exists.
        missing = self.plan.missing
        try:
            first = self.sources.rest.fetch_first(self.plan.symbol)
        except DownloadError as error:
            self._go_on_without_rest(error)
            return _Listing(self._plan(missing, self.planner))
        if first is None:
            return _Listing(SymbolPlan(self.plan.symbol, ()))
        is_late = first.range_end - MINUTE >= missing[0].start
        self._answers += not is_late
        if is_late:
            missing = intersect_ranges(missing, [TimeRange(first.range_end, missing[-1].end)])
        return _Listing(self._plan(missing, self.planner), is_told=True, pages=(first,) if is_late else ())

    def _go_on_without_rest(self, error: DownloadError) -> None:
        """Continues without REST: the archive keeps the files of symbols that REST no longer knows.

        The archive's list names the files that exist, so that no others are requested. Raises ``error`` if REST
        may be used and failed for another reason, if the archive has no file of the symbol, or if the archive may
        not be used.
        """
        is_unknown = isinstance(error, UnknownSymbolError)
        self._answers += is_unknown
        files_only = tuple(source for source in self.planner.sources if source != "rest")
        is_rest_wanted = files_only != self.planner.sources
        if not files_only or (is_rest_wanted and not is_unknown):
            raise self._with_offer(error)
        self._not_listed = self._list_files(error, is_rest_wanted=is_rest_wanted)
        if self._not_listed is None:
            self._in_doubt = error
        elif not self._not_listed.files:
            raise (
                self._with_offer(error)
                if is_unknown
                else type(error)(
                    f"The archive has no files of {self.plan.symbol}, and REST could not be asked about it: {error}"
                )
            )
        elif is_unknown:
            self._notes.append(f"{error} What the archive has of it is all there is; a day's file has the last word.")
        self.planner = replace(self.planner, sources=files_only)
        self._is_archive_last = True

    def _list_files(self, error: DownloadError, *, is_rest_wanted: bool) -> NotListed | None:
        """Returns the archive's list of the symbol's files; None if it is unavailable and each file has to be tried.

        If the list is unavailable and REST may be used, raises ``error`` together with the reason.
        """
        try:
            listed = self.sources.archive.find_files(self.plan.symbol)
        except DownloadError as failure:
            if self.stop.is_set() or failure.stops_run:
                raise
            if not is_rest_wanted:
                return None
            raise UnknownSymbolError(
                f"{error} Whether the archive has files of it could not be found out: {failure}"
            ) from error
        self._answers += listed.pages
        return listed

    def _with_offer(self, error: DownloadError) -> DownloadError:
        """Returns the error with the most similar symbol name added, if the exchange does not know the symbol."""
        if not isinstance(error, UnknownSymbolError):
            return error
        names, asked = self.sources.names()
        self._answers += asked
        return UnknownSymbolError(f"{error}{offer(self.plan.symbol, names)}")

    @property
    def undelivered(self) -> int:
        """The number of answers counted since the last delivery."""
        return self._answers

    def _carry_out(self, requests: Sequence[PlannedRequest]) -> Iterator[Delivery]:
        """Yields each request's pages. Minutes missing from a file are fetched elsewhere before any later page."""
        pending: list[PlannedRequest] = []
        todo = deque(requests)
        while todo:
            self._fetch_ahead(list(todo))
            request = todo.popleft()
            if pending and pending[-1].source != request.source:
                yield from self._settle(pending)
                pending = []
            if request.file is None:
                yield from self._over_rest(request)
                continue
            answer = self._take(request.file)
            if answer.page is None:
                pending.append(request)
                self._require_other_source(request, answer)
                continue
            yield from self._settle(pending)
            pending = []
            yield self._with_follow_ups(request, answer, answer.page)
        yield from self._settle(pending)

    def _over_rest(self, request: PlannedRequest) -> Iterator[Delivery]:
        """Yields a range over REST, or from the archive's files if REST no longer knows the symbol."""
        if "rest" in self.planner.sources:
            try:
                for page in self.sources.rest.fetch_range(request.symbol, ONE_MINUTE, request.wanted, self.lookahead):
                    yield self._deliver([page], TimeRange(page.range_start, page.range_end).minutes)
            except UnknownSymbolError as error:
                self._go_on_without_rest(error)
            else:
                return
        yield from self._carry_out(self._plan(request.missing, self.planner).requests)

    def _with_follow_ups(self, request: PlannedRequest, answer: FileAnswer, page: Page) -> Delivery:
        """Returns a file's page together with the pages for the minutes that the file lacks."""
        is_proof = answer.is_complete or (request.source == "archive_daily" and self._is_archive_last)
        span = request.wanted
        if self._within is not None:
            # The whole day, not only its missing minutes: a daily file outranks the monthly file for every minute.
            span = intersect_ranges([answer.file.period], [self._within])[0]
        page = page.clipped(span, span if is_proof else None)
        delivery = self._deliver([page], request.wanted.minutes)
        absent = [] if is_proof else absent_ranges(page.candles, span)
        outer, self._within = self._within, span
        for more in self._fetch_missing(request, intersect_ranges(request.missing, absent)):
            delivery = delivery.followed_by(more)
        self._within = outer
        return delivery

    def _settle(self, pending: Sequence[PlannedRequest]) -> Iterator[Delivery]:
        """Yields the minutes of files that do not exist or cannot be trusted, from other sources."""
        if pending:
            yield from self._fetch_missing(pending[-1], join_ranges(part for one in pending for part in one.missing))

    def _fetch_missing(self, request: PlannedRequest, missing: Iterable[TimeRange]) -> Iterator[Delivery]:
        """Yields ranges that a request's source did not deliver, from the sources that rank above it."""
        due: list[TimeRange] = []
        for hole in missing:
            if self._is_worth_a_look(request, hole):
                yield from self._carry_out(self._plan(due, self._above(request)).requests)
                due = [hole]
                try:
                    page = self.sources.rest.fetch_next(request.symbol, ONE_MINUTE, hole)
                except UnknownSymbolError as error:
                    self._go_on_without_rest(error)
                    continue
                begins_later = page.range_end > hole.start + MINUTE
                yield self._deliver([page] if begins_later else [], 0)
                if begins_later:
                    due = intersect_ranges([hole], [TimeRange(page.range_end, hole.end)])
            elif self._above(request).sources and not self._is_before_first_file(hole):
                due.append(hole)
        yield from self._carry_out(self._plan(due, self._above(request)).requests)

    def _above(self, request: PlannedRequest) -> Planner:
        """Returns the planner with only the sources that rank above the request's source."""
        sources = self.planner.sources
        return replace(self.planner, sources=sources[sources.index(request.source) + 1 :])

    def _is_worth_a_look(self, request: PlannedRequest, hole: TimeRange) -> bool:
        """Whether to ask REST for the next candle first, because one call may show that the hole has no candles.

        A monthly file that cannot be trusted, or is not published yet, says nothing about its candles.
        """
        is_long = hole.end - hole.start > _LONG_HOLE
        is_late = request.file in self._absent and hole.end + _LATEST_PUBLICATION > self.planner.clock
        return "rest" in self.planner.sources and is_long and not is_late and request.file not in self._untrusted

    def _is_before_first_file(self, hole: TimeRange) -> bool:
        """Whether a month lies before the symbol's first file, so that no daily file has to be tried.

        A file that could not be fetched or used says nothing about the daily files.
        """
        return (
            "rest" not in self.planner.sources
            and not self._has_file
            and not any(intersect_ranges([hole], [file.period]) for file in self._untrusted)
            and hole.end + _LATEST_PUBLICATION < self.planner.clock
        )

    def _plan(self, missing: Sequence[TimeRange], planner: Planner) -> SymbolPlan:
        return replace(planner, absent=self._known_absent).plan(self.plan.symbol, missing)

    @property
    def _known_absent(self) -> Container[ArchiveFile]:
        return self._absent if self._not_listed is None else _Either(self._absent, self._not_listed)

    def _fetch_ahead(self, todo: Sequence[PlannedRequest]) -> None:
        """Starts to fetch the files of the next requests: as many as memory allows, but at least one."""
        rows = files = 0
        for request in todo:
            if request.file is None or request.file in self._known_absent:
                continue
            rows += request.file.period.minutes
            files += 1
            if files > 1 and (rows > _ROWS_AHEAD * self.share or files > _FILES_AHEAD):
                return
            if request.file not in self._files:
                self._files[request.file] = self.sources.archive.fetch(request.file, recheck=self.recheck)

    def _take(self, file: ArchiveFile) -> FileAnswer:
        if file not in self._files:
            # It was planned before the archive's list showed that the file does not exist.
            return FileAnswer(file, None, requests=0)
        answer = self._files.pop(file).result()
        if self.stop.is_set():
            raise DownloadError(STOPPED)
        self._answers += answer.requests
        self._notes += answer.notes
        if answer.page is None:
            (self._absent if answer.error is None else self._untrusted).add(file)
        self._has_file = self._has_file or answer.page is not None
        return answer

    def _require_other_source(self, request: PlannedRequest, answer: FileAnswer) -> None:
        """Raises the file's error if no other source can deliver its candles; remembers the range of an absent file."""
        if request.source == self.planner.sources[-1]:
            if answer.error is not None:
                raise answer.error
            self._not_delivered.append(request.wanted)

    def _note_not_delivered(self) -> None:
        if self._not_delivered:
            first, last = self._not_delivered[0].start, self._not_delivered[-1].start
            self._notes.append(
                f"{self.plan.symbol}: the archive has no files for {len(self._not_delivered)} days between "
                f"{first:%Y-%m-%d} and {last:%Y-%m-%d}; they stay asked for."
            )

    def _deliver(self, pages: Sequence[Page], minutes: int) -> Delivery:
        answers = self._answers + sum(len(page.bodies) for page in pages if page.source == "rest")
        delivery = Delivery(self.plan.symbol, tuple(pages), minutes, answers, tuple(self._notes))
        self._answers, self._notes = 0, []
        return delivery
