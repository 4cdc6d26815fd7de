"""Carries out plans: downloads symbols side by side and commits what came in few large batches."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

from threadx_duck.errors import DownloadError
from threadx_duck.ledger import OpenRequest, make_batches
from threadx_duck.planning import SymbolPlan
from threadx_duck.results import Progress, SymbolResult
from threadx_duck.sources.page import Page
from threadx_duck.sources.rest import REQUESTS_IN_FLIGHT, RestSource
from threadx_duck.store import Store
from threadx_duck.timeframes import ONE_MINUTE
from threadx_duck.times import TimeRange, format_time

logger = logging.getLogger("threadx_duck.ingest")

# Four row groups: commits of this size write compressed blocks past the log, at about 32 bytes a candle
# where commits of one symbol-month take 37, and three times as fast.
_COMMIT_ROWS = 4 * 122_880
_COMMIT_SECONDS = 20.0

_QUEUED_PAGES = 64
_LEAST_LOOKAHEAD = 2


class _Done(NamedTuple):
    """A symbol will bring no more pages."""

    symbol: str
    error: DownloadError | None


@dataclass
class _Buffer:
    """Answers that wait for their commit, in the order they came; of each symbol in time order."""

    requests: list[OpenRequest]
    rows: int = 0
    since: float = 0.0

    def add(self, page: Page) -> None:
        if not self.requests:
            self.since = time.monotonic()
        for request in reversed(self.requests):
            if request.first.symbol == page.symbol:
                if request.joins(page):
                    request.add(page)
                    break
                self.requests.append(OpenRequest(page))
                break
        else:
            self.requests.append(OpenRequest(page))
        self.rows += page.rows_received

    @property
    def is_due(self) -> bool:
        waited = time.monotonic() - self.since
        return bool(self.requests) and (self.rows >= _COMMIT_ROWS or waited >= _COMMIT_SECONDS)


class Downloader:
    """One run over several symbols. A symbol that fails does not stop the others."""

    def __init__(
        self, store: Store, rest: RestSource, symbols_at_once: int, stop: threading.Event, progress: Progress
    ) -> None:
        self._store = store
        self._rest = rest
        self._symbols_at_once = symbols_at_once
        self._stop = stop
        self._progress = progress
        self._queue: queue.Queue[Page | _Done] = queue.Queue(_QUEUED_PAGES)
        self._buffer = _Buffer([])
        self._fatal: DownloadError | None = None
        self._began: dict[str, float] = {}
        self.results: dict[str, SymbolResult] = {}

    def run(self, plans: Sequence[SymbolPlan]) -> None:
        """Downloads and commits; ``results`` says what became of each symbol, also after an interruption.

        An interruption commits what has come, then goes on as the ``KeyboardInterrupt`` it is.
        """
        self.results = {plan.symbol: SymbolResult(plan.symbol, plan=plan) for plan in plans}
        self._progress.started(list(plans))
        lookahead = max(_LEAST_LOOKAHEAD, REQUESTS_IN_FLIGHT // min(len(plans), self._symbols_at_once))
        pool = ThreadPoolExecutor(self._symbols_at_once, thread_name_prefix="symbol")
        try:
            for plan in plans:
                pool.submit(self._download, plan, lookahead)
            self._collect(len(plans))
        except BaseException as failure:
            # Also after a failed commit: nothing that still comes could be stored.
            self._stop.set()
            if isinstance(failure, KeyboardInterrupt):
                self._commit()
            raise
        finally:
            self._stop_workers(pool)

    def _collect(self, unfinished: int) -> None:
        """Takes pages from the queue until every symbol is done, committing whenever a batch is due."""
        while unfinished:
            try:
                item = self._queue.get(timeout=1.0)
            except queue.Empty:
                item = None
            if isinstance(item, Page):
                self._buffer.add(item)
                self._take_note(item)
            elif isinstance(item, _Done):
                unfinished -= 1
                self._finish(item)
            if self._buffer.is_due:
                self._commit()
        self._commit()

    def _take_note(self, page: Page) -> None:
        result = self.results[page.symbol]
        result.requests += len(page.bodies)
        covered = TimeRange(page.range_start, page.range_end).minutes
        self._progress.received(page.symbol, covered, page.candles.num_rows, self._rest.budget.used)

    def _finish(self, done: _Done) -> None:
        result = self.results[done.symbol]
        if done.error is not None:
            result.status = "failed"
            result.error = str(self._fatal or done.error)
            logger.error("%s: %s", done.symbol, result.error)
        self._progress.finished(result)

    def _commit(self) -> None:
        """Stores what is buffered, with its evidence, in one transaction."""
        requests, self._buffer = self._buffer.requests, _Buffer([])
        if not requests:
            return
        began = time.monotonic()
        appended = {row.request_id: row for row in self._store.append(make_batches(requests))}
        for request in requests:
            row, counts = request.ledger_row(), appended[request.request_id]
            result = self.results[request.first.symbol]
            result.rows_added += counts.rows_added
            result.rows_revised += counts.rows_revised
            result.rows_rejected += row["rows_rejected"]
            result.seconds = round(time.monotonic() - self._began[result.symbol], 3)
            logger.info(
                "%s %s to %s: %s rows, %s new, %s revised, %s rejected; %s requests, %.1f s",
                request.first.symbol,
                format_time(row["range_start"]),
                format_time(row["range_end"]),
                row["rows_received"],
                counts.rows_added,
                counts.rows_revised,
                row["rows_rejected"],
                row["pages"],
                row["seconds"],
            )
        logger.debug("committed %s requests in %.2f s", len(requests), time.monotonic() - began)

    def _download(self, plan: SymbolPlan, lookahead: int) -> None:
        """Brings one symbol's pages to the queue, in time order; runs on a thread of its own."""
        error: DownloadError | None = None
        self._began[plan.symbol] = time.monotonic()
        try:
            for wanted in self._listed(plan):
                for page in self._rest.fetch_range(plan.symbol, ONE_MINUTE, wanted, lookahead):
                    self._queue.put(page)
        except DownloadError as failure:
            error = failure
            if failure.stops_run:
                self._fatal = failure
                self._stop.set()
        except Exception as failure:
            logger.exception("%s", plan.symbol)
            error = DownloadError(f"{plan.symbol} failed unexpectedly: {failure!r}.")
        self._queue.put(_Done(plan.symbol, error))

    def _listed(self, plan: SymbolPlan) -> list[TimeRange]:
        """The ranges of a plan from the symbol's first candle on; that candle is stored on the way."""
        ranges = [request.wanted for request in plan.requests]
        if not plan.find_listing:
            return ranges
        first = self._rest.fetch_first(plan.symbol)
        if first is None:
            return []
        if first.range_end <= ranges[0].start:
            return ranges
        self._queue.put(first)
        clipped = [TimeRange(max(wanted.start, first.range_end), wanted.end) for wanted in ranges]
        return [wanted for wanted in clipped if wanted.start < wanted.end]

    def _stop_workers(self, pool: ThreadPoolExecutor) -> None:
        """Waits for every thread; empties the queue meanwhile, because a thread may wait for room in it."""
        pool.shutdown(wait=False, cancel_futures=True)
        waiter = threading.Thread(target=pool.shutdown)
        waiter.start()
        while waiter.is_alive():
            try:
                self._queue.get(timeout=0.05)
            except queue.Empty:
                continue
        waiter.join()
