"""Runs work on other threads and brings results back to the Tk thread, the only one that may touch Tk."""

from __future__ import annotations

import logging
import queue
import threading
import time
import tkinter as tk
from collections.abc import Callable
from typing import Any, TypeVar

from threadx_duck.download.plan import SymbolPlan
from threadx_duck.download.results import Progress, SymbolResult
from threadx_duck.errors import ThreadxDuckError

logger = logging.getLogger("threadx_duck.data_manager")

_POLL_MILLISECONDS = 40
# A poll returns to the event loop after this many seconds; the rest waits for the next poll.
_POLL_BUDGET = 0.015

Result = TypeVar("Result")


class Worker:
    """Runs jobs on threads and passes their results to the Tk thread, which polls for them."""

    def __init__(self, widget: tk.Misc) -> None:
        self._widget = widget
        self._queue: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._timer: str | None = widget.after(_POLL_MILLISECONDS, self._poll)

    def close(self) -> None:
        """Ends the polling; running jobs end on their own, and their results are dropped."""
        if self._timer is not None:
            self._widget.after_cancel(self._timer)
            self._timer = None

    def post(self, action: Callable[..., None], *arguments: Any) -> None:
        """Has the Tk thread call ``action``; any thread may call this method."""
        self._queue.put(lambda: action(*arguments))

    def run(
        self, job: Callable[[], Result], done: Callable[[Result], None], failed: Callable[[str], None]
    ) -> threading.Thread:
        """Runs a job on a thread of its own.

        Afterwards the Tk thread calls ``done`` with the result, or ``failed`` with a sentence about the error.
        """

        def work() -> None:
            try:
                result = job()
            except ThreadxDuckError as error:
                self.post(failed, str(error))
            except Exception as error:
                logger.exception("The page met an unexpected error.")
                self.post(failed, f"That failed unexpectedly: {error!r}. See logs/tkinter_app.log.")
            else:
                self.post(done, result)

        # Not a daemon: a program that ends waits until the thread has committed the batch in hand.
        thread = threading.Thread(target=work, name="data-manager")
        thread.start()
        return thread

    def _poll(self) -> None:
        until = time.monotonic() + _POLL_BUDGET
        try:
            while time.monotonic() < until:
                self._queue.get_nowait()()
        except queue.Empty:
            pass
        finally:
            # An action may have closed the page.
            if self._timer is not None:
                self._timer = self._widget.after(_POLL_MILLISECONDS, self._poll)


class ForwardedProgress(Progress):
    """Passes the progress of a run from the thread that runs it to the Tk thread."""

    def __init__(self, worker: Worker, hears: Progress) -> None:
        self._worker = worker
        self._hears = hears

    def started(self, plans: list[SymbolPlan]) -> None:
        """Passes on that the run begins."""
        self._worker.post(self._hears.started, plans)

    def shortened(self, symbol: str, minutes: int) -> None:
        """Passes on that the symbol's first candle is known."""
        self._worker.post(self._hears.shortened, symbol, minutes)

    def received(self, symbol: str, minutes: int, rows: int, calls: int) -> None:
        """Passes on that an answer came."""
        self._worker.post(self._hears.received, symbol, minutes, rows, calls)

    def finished(self, result: SymbolResult) -> None:
        """Passes on that a symbol is finished."""
        self._worker.post(self._hears.finished, result)

    def note(self, text: str) -> None:
        """Logs what a person would want to know; the page shows the log."""
        logger.info("%s", text)
