"""Progress of a download on a terminal: one bar per symbol and one for all, on stderr."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from threadx_duck.download.plan import SymbolPlan
from threadx_duck.download.results import Progress, SymbolResult
from threadx_duck.texts.visible import visible


class TerminalProgress(Progress):
    """Bars of minutes covered, rows a second, time left, and requests sent."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._bars = Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[state]}"),
            console=console,
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}
        self._rows = 0

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def started(self, plans: list[SymbolPlan]) -> None:
        """Draws a bar for each symbol and, for several, one for all."""
        minutes = {plan.symbol: plan.minutes for plan in plans}
        for symbol, total in minutes.items():
            self._tasks[symbol] = self._bars.add_task(visible(symbol), total=total, rate="", state="")
        self._tasks[""] = self._bars.add_task("total", total=sum(minutes.values()), rate="", state="")

    def shortened(self, symbol: str, minutes: int) -> None:
        """Takes the minutes before the listing off the totals."""
        for key in (symbol, ""):
            task = self._bars.tasks[self._tasks[key]]
            self._bars.update(task.id, total=(task.total or 0) - minutes)

    def received(self, symbol: str, minutes: int, rows: int, calls: int) -> None:
        """Moves the bars on."""
        self._rows += rows
        self._bars.advance(self._tasks[symbol], minutes)
        self._bars.advance(self._tasks[""], minutes)
        task = self._bars.tasks[self._tasks[""]]
        rate = f"{self._rows / task.elapsed:,.0f} rows/s" if task.elapsed else ""
        self._bars.update(self._tasks[""], rate=rate, state=f"{calls:,} requests")

    def finished(self, result: SymbolResult) -> None:
        """Marks the symbol's bar."""
        state = "failed" if result.status == "failed" else "done"
        self._bars.update(self._tasks[result.symbol], state=state)

    def note(self, text: str) -> None:
        """Prints above the bars."""
        self._bars.console.print(f"note: {visible(text)}", markup=False, highlight=False)
