"""Carries out plans: downloads several symbols at the same time and commits their pages in few large batches."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from typing import NamedTuple

import pyarrow as pa

from threadx_duck.candles.times import format_time
from threadx_duck.download.fetch import Delivery, Sources, SymbolDownload
from threadx_duck.download.plan import Planner, SymbolPlan
from threadx_duck.download.results import Progress, SymbolResult
from threadx_duck.errors import DownloadError, StoreError
from threadx_duck.exchange.rest import REQUESTS_IN_FLIGHT
from threadx_duck.exchange.waits import Wait
from threadx_duck.ledger.append import append_to_store
from threadx_duck.ledger.requests import COMMIT_ROWS, Buffer, make_batches
from threadx_duck.storage.store import Store

logger = logging.getLogger("threadx_duck.ingest")

_COMMIT_SECONDS = 20.0
# How long it may take until a wait is shown: the shortest that is told lasts a second.
_HEED_SECONDS = 0.2

# The room of the queue between the threads that download and the thread that commits, in thousands of candles.
# A smaller page counts as one thousand.
_QUEUED_THOUSANDS = 100
_LEAST_LOOKAHEAD = 2


class _Done(NamedTuple):
    """The end of a symbol's pages; ``answers`` is the number of answers that led to no page."""

    symbol: str
    error: DownloadError | None
    answers: int = 0


class _Queue(queue.Queue[Delivery | _Done]):
    """A queue whose room is counted in candles, not in pages, because a page may hold one minute or one month."""

    def _init(self, maxsize: int) -> None:
        super()._init(maxsize)
        self._size = 0

    def _put(self, item: Delivery | _Done) -> None:
        super()._put(item)
        self._size += _thousands(item)

    def _get(self) -> Delivery | _Done:
        item = super()._get()
        self._size -= _thousands(item)
        return item

    def _qsize(self) -> int:
        return self._size


def _thousands(item: Delivery | _Done) -> int:
    if isinstance(item, _Done):
        return 1
    return 1 + sum(len(page.candles) // 1000 for page in item.pages)


class Downloader:
    """One run for several symbols. A symbol that fails does not stop the others."""

    def __init__(
        self,
        store: Store,
        sources: Sources,
        planner: Planner,
        symbols_at_once: int,
        stop: threading.Event,
        progress: Progress,
    ) -> None:
        self._store = store
        self._sources = sources
        self._planner = planner
        self._symbols_at_once = symbols_at_once
        self._stop = stop
        self._progress = progress
        self._queue = _Queue(_QUEUED_THOUSANDS)
        self._said: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._buffer = Buffer()
        self._buffered_since = 0.0
        self._fatal: DownloadError | None = None
        self._began: dict[str, float] = {}
        self.results: dict[str, SymbolResult] = {}

    def run(self, plans: Sequence[SymbolPlan], *, recheck: bool = False) -> None:
        """Downloads and commits; ``results`` holds the result of each symbol, also after an interruption.

        ``recheck`` compares kept files with the archive's checksums. On a ``KeyboardInterrupt``, commits the pages
        received so far and raises it again.
        """
        self.results = {plan.symbol: SymbolResult(plan.symbol, plan=plan) for plan in plans}
        self._progress.started(list(plans))
        # Other threads wait for hosts; what they say is shown by this thread.
        said_before, self._sources.rest.budget.say = self._sources.rest.budget.say, self._say
        share = 1 / min(len(plans), self._symbols_at_once)
        pool = ThreadPoolExecutor(self._symbols_at_once, thread_name_prefix="symbol")
        heard = ExitStack()
        try:
            heard.enter_context(self._sources.rest.waits.heard_by(self._hear))
            for plan in plans:
                pool.submit(self._download, plan, share, recheck)
            # Done while the first answers are on their way: once the parsers work it would take five times as long.
            self._store.prepare()
            self._collect(len(plans))
        except BaseException as error:
            # Also after a failed commit: later pages could not be stored.
            self._stop.set()
            if isinstance(error, KeyboardInterrupt):
                self._commit()
            if isinstance(error, StoreError):
                added = sum(result.rows_added for result in self.results.values())
                raise type(error)(f"{error} Of this run {added:,} candles are stored.") from error
            raise
        finally:
            self._stop_workers(pool)
            heard.close()
            self._sources.rest.budget.say = said_before

    def _say(self, text: str) -> None:
        logger.warning("%s", text)
        self._said.put(partial(self._progress.note, text))

    def _hear(self, wait: Wait) -> None:
        if wait.is_noted:
            logger.warning("%s", wait)
        self._said.put(partial(self._progress.waiting, wait))

    def _collect(self, unfinished: int) -> None:
        """Takes pages from the queue until every symbol is done, and commits whenever a batch is due."""
        while unfinished:
            try:
                item = self._queue.get(timeout=_HEED_SECONDS)
            except queue.Empty:
                item = None
            while not self._said.empty():
                self._said.get()()
            if isinstance(item, Delivery):
                self._take(item)
            elif isinstance(item, _Done):
                unfinished -= 1
                self._finish(item)
            if self._is_due():
                self._commit()
        self._commit()

    def _take(self, delivery: Delivery) -> None:
        if delivery.pages:
            # A symbol that delivers pages exists, so the store is not created for a mistyped name.
            self._store.make()
        if not self._buffer.requests:
            self._buffered_since = time.monotonic()
        for page in delivery.pages:
            self._buffer.add(page)
        self.results[delivery.symbol].requests += delivery.answers
        for note in delivery.notes:
            self._progress.note(note)
        if delivery.before_listing:
            self._progress.shortened(delivery.symbol, delivery.before_listing)
        rows = sum(page.candles.num_rows for page in delivery.pages)
        calls = sum(result.requests for result in self.results.values())
        self._progress.received(delivery.symbol, delivery.minutes, rows, calls)

    def _is_due(self) -> bool:
        waited = time.monotonic() - self._buffered_since
        return bool(self._buffer.requests) and (self._buffer.rows >= COMMIT_ROWS or waited >= _COMMIT_SECONDS)

    def _finish(self, done: _Done) -> None:
        result = self.results[done.symbol]
        result.requests += done.answers
        if done.error is not None:
            result.status = "failed"
            result.error = str(self._fatal or done.error)
            logger.error("%s: %s", done.symbol, result.error)
        self._progress.finished(result)

    def _commit(self) -> None:
        """Stores the buffered pages and their evidence in one transaction."""
        requests, self._buffer = self._buffer.requests, Buffer()
        if not requests:
            return
        began = time.monotonic()
        # DuckDB is about to need as much memory as parsing has left unused.
        pa.default_memory_pool().release_unused()
        appended = {row.request_id: row for row in append_to_store(self._store, make_batches(requests))}
        for request in requests:
            row, counts = request.ledger_row(), appended[request.request_id]
            result = self.results[request.first.symbol]
            result.request_ids.append(request.request_id)
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

    def _download(self, plan: SymbolPlan, share: float, recheck: bool) -> None:
        """Puts one symbol's pages into the queue, in time order. Runs on a thread of its own."""
        error: DownloadError | None = None
        self._began[plan.symbol] = time.monotonic()
        self._said.put(partial(self._progress.began, plan.symbol))
        download = SymbolDownload(
            plan,
            self._planner,
            self._sources,
            self._stop,
            lookahead=max(_LEAST_LOOKAHEAD, int(REQUESTS_IN_FLIGHT * share)),
            share=share,
            recheck=recheck,
        )
        try:
            for delivery in download.deliveries():
                self._queue.put(delivery)
        except DownloadError as failure:
            error = failure
            if failure.stops_run:
                self._fatal = failure
                self._stop.set()
        except Exception as failure:
            logger.exception("%s", plan.symbol)
            error = DownloadError(f"{plan.symbol} failed unexpectedly: {failure!r}.")
        self._queue.put(_Done(plan.symbol, error, download.undelivered))

    def _stop_workers(self, pool: ThreadPoolExecutor) -> None:
        """Waits for every thread, and empties the queue meanwhile, because a thread may wait for room in it."""
        pool.shutdown(wait=False, cancel_futures=True)
        waiter = threading.Thread(target=pool.shutdown)
        waiter.start()
        while waiter.is_alive():
            with suppress(queue.Empty):
                while True:
                    self._queue.get_nowait()
            waiter.join(0.05)
