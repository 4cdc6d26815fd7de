"""Runs one download at a time on a thread, and shows its progress and its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from threadx_duck.config import Settings
from threadx_duck.data_manager.symbols import SymbolList
from threadx_duck.data_manager.widgets.progress_strip import ProgressStrip, Tally
from threadx_duck.data_manager.work import ForwardedProgress, Worker
from threadx_duck.download.plan import SymbolPlan
from threadx_duck.download.results import Progress, SymbolResult, TimeframeResult
from threadx_duck.errors import STOPPED
from threadx_duck.exchange.markets import ExchangeSymbol
from threadx_duck.ingest import IngestionManager

_STOP_POLL_SECONDS = 0.05

Results = dict[str, SymbolResult]


@dataclass(frozen=True)
class Order:
    """The symbols and the range to download; ``start`` and ``end`` as in `IngestionManager.update_assets_batch`."""

    symbols: Sequence[str]
    start: str | datetime | None = None
    end: str | datetime | None = None
    timeframes: Sequence[str] = ()
    source: str = "auto"
    refresh: bool = False
    dry_run: bool = False


class Downloads(Progress):
    """Runs orders and shows their progress: in the row of each symbol, and in total.

    Its `Progress` methods run on the Tk thread. ``on_end`` gets the results, or none if the whole run failed.
    """

    def __init__(
        self,
        settings: Settings,
        worker: Worker,
        rows: SymbolList,
        strip: ProgressStrip,
        on_change: Callable[[], None],
        on_end: Callable[[Order, Results], None],
    ) -> None:
        self.manager = IngestionManager(settings, progress=ForwardedProgress(worker, self))
        self._worker = worker
        self._rows = rows
        self._strip = strip
        self._on_change = on_change
        self._on_end = on_end
        self._tally = Tally([])
        self._thread: threading.Thread | None = None
        self.is_running = False
        self.is_cancelled = False

    def start(self, order: Order) -> None:
        """Starts an order; while another one runs, shows a message and does nothing."""
        if self.is_running:
            self._strip.say("A download is running. Wait for it, or cancel it.")
            return
        self.is_running, self.is_cancelled = True, False
        self._rows.clear_states()
        for symbol in order.symbols:
            self._rows.set_state(symbol, "planning…" if order.dry_run else "waiting…")
        self._strip.set_running(running=True)
        self._strip.bar.configure(mode="indeterminate")
        self._strip.bar.start()
        self._strip.say("Finding out what is missing…")
        self._on_change()
        self._thread = self._worker.run(
            lambda: self.manager.update_assets_batch(order.symbols, order.start, order.end, **_options(order)),
            lambda results: self._end(order, results),
            lambda sentence: self._fail(order, sentence),
        )

    def cancel(self) -> None:
        """Stops after the batch in hand."""
        if self.is_running and not self.is_cancelled:
            self.is_cancelled = True
            self.manager.stop()
            self._strip.cancel.state(["disabled"])
            self._strip.say("Stopping after the batch in hand…")

    def exchange_symbols(self, symbol: str | None = None) -> list[ExchangeSymbol]:
        """Returns all symbols of the exchange, or the named one.

        Call it on a thread of its own: while a run is being stopped, it waits for that run to end.
        """
        while self.is_running and self.is_cancelled:
            time.sleep(_STOP_POLL_SECONDS)
        return self.manager.exchange_symbols(symbol)

    def close(self) -> None:
        """Stops the current run and closes the connections; does not wait for either."""
        self.manager.stop()
        self.is_running = False
        thread, manager = self._thread, self.manager

        def finish() -> None:
            if thread is not None:
                thread.join()
            manager.close()

        threading.Thread(target=finish, name="data-manager-close").start()

    def started(self, plans: list[SymbolPlan]) -> None:
        """Notes how many minutes the plans will download."""
        self._tally = Tally(plans)
        self._strip.bar.stop()
        self._strip.bar.configure(mode="determinate", value=0.0)

    def shortened(self, symbol: str, minutes: int) -> None:
        """Takes the minutes before the listing out of the number to download."""
        self._tally.planned[symbol] -= minutes

    def received(self, symbol: str, minutes: int, rows: int, calls: int) -> None:
        """Advances the symbol's row and the total."""
        self._tally.add(symbol, minutes, rows, calls)
        self._rows.set_state(symbol, self._tally.describe(symbol))
        if not self.is_cancelled:
            self._strip.show(self._tally)

    def finished(self, result: SymbolResult) -> None:
        """Marks the symbol's row. The number of added candles is known only after the run has committed."""
        self._tally.finish(result.symbol)
        self._rows.set_state(result.symbol, *self._describe(result, "received"))

    def _end(self, order: Order, results: Results) -> None:
        for result in results.values():
            self._rows.set_state(result.symbol, *self._describe(result, "done"))
        added = sum(result.rows_added for result in results.values())
        failed = sum(result.status == "failed" for result in results.values())
        how = "Stopped" if self.is_cancelled else "Planned" if order.dry_run else "Done"
        text = f"{how}." if order.dry_run else f"{how}: {added:,} new candles are stored."
        if failed and not self.is_cancelled:
            text += f" {failed} of {len(results)} symbols failed; their rows say why."
        self._finish(text)
        self._on_end(order, results)

    def _fail(self, order: Order, sentence: str) -> None:
        for symbol in order.symbols:
            self._rows.set_state(symbol, "")
        self._finish(sentence)
        self._on_end(order, {})

    def _finish(self, text: str) -> None:
        self.is_running = False
        self._strip.set_running(running=False)
        self._strip.bar.configure(value=0.0)
        self._strip.say(text)
        self._on_change()

    def _describe(self, result: SymbolResult, done: str) -> tuple[str, str]:
        """Returns the text of a symbol's row and the kind that colours it."""
        if result.status == "failed":
            if self.is_cancelled and result.error == STOPPED:
                return f"stopped; {result.rows_added:,} new", "warning"
            return result.error or "", "failed"
        if result.status == "planned" and result.plan is not None:
            requests = sum(request.requests for request in result.plan.requests)
            return f"plan: {requests:,} request{'' if requests == 1 else 's'}", ""
        validated = "".join(f"; {label}: {_count(timeframe)}" for label, timeframe in result.timeframes.items())
        differs = any(timeframe.mismatches for timeframe in result.timeframes.values())
        kind = "warning" if differs else ""
        if result.status == "up_to_date":
            return f"up to date{validated}", kind
        revised = f", {result.rows_revised:,} revised" if result.rows_revised else ""
        rejected = f", {result.rows_rejected:,} rejected" if result.rows_rejected else ""
        return (
            f"done: {result.rows_added:,} new{revised}{rejected}{validated}" if done == "done" else "received"
        ), kind


def _count(timeframe: TimeframeResult) -> str:
    mismatches = f", {len(timeframe.mismatches):,} mismatches" if timeframe.mismatches else ""
    return f"{timeframe.candles:,} candles{mismatches}"


def _options(order: Order) -> dict[str, Any]:
    return {
        "target_timeframes": order.timeframes,
        "source": order.source,
        "refresh": order.refresh,
        "dry_run": order.dry_run,
    }
