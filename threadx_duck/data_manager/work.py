"""Work on other threads, and the way back: Tk may be touched by its own thread only."""

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
# A poll returns to the event loop after this long; the rest waits for the next poll.
_POLL_BUDGET = 0.015

Result = TypeVar("Result")


class Worker:
    """Runs jobs on threads and carries what they say to the Tk thread that polls for it."""

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
        """Makes the Tk thread call this function; may be called from any thread."""
        self._queue.put(lambda: action(*arguments))

    def run(
        self, job: Callable[[], Result], done: Callable[[Result], None], failed: Callable[[str], None]
    ) -> threading.Thread:
        """Runs a job on a thread of its own; the Tk thread hears how it ended, an error as its sentence."""

        def work() -> None:
            try:
                result = job()
            except ThreadxDuckError as error:
                self.post(failed, str(error))
            except Exception as error:
                logger.exception("The page met an error that it does not know.")
                self.post(failed, f"That failed unexpectedly: {error!r}. See logs/tkinter_app.log.")
            else:
                self.post(done, result)

        # No daemon: a program that ends waits for the batch in hand to be committed.
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
    """Brings a run's progress, told on the thread that runs it, to the Tk thread."""

    def __init__(self, worker: Worker, hears: Progress) -> None:
        self._worker = worker
        self._hears = hears

    def started(self, plans: list[SymbolPlan]) -> None:
        """The run begins."""
        self._worker.post(self._hears.started, plans)

    def shortened(self, symbol: str, minutes: int) -> None:
        """The symbol's first candle is known."""
        self._worker.post(self._hears.shortened, symbol, minutes)

    def received(self, symbol: str, minutes: int, rows: int, calls: int) -> None:
        """An answer came."""
        self._worker.post(self._hears.received, symbol, minutes, rows, calls)

    def finished(self, result: SymbolResult) -> None:
        """A symbol is through."""
        self._worker.post(self._hears.finished, result)

    def note(self, text: str) -> None:
        """Something a person would want to know goes to the log, which the page shows."""
        logger.info("%s", text)
