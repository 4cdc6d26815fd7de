"""The results of an ingest for each symbol, and the progress that it reports while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from threadx_duck.download.plan import SymbolPlan

if TYPE_CHECKING:
    from threadx_duck.audit.comparison import Mismatch
    from threadx_duck.exchange.waits import Wait

Status = Literal["ok", "up_to_date", "failed", "planned"]


@dataclass
class TimeframeResult:
    """The derived candles of one timeframe in the wanted range, and the values that differ from the exchange's.

    Only candles in which this ingest changed minutes are compared; ``mismatches`` are those left after one repair.
    ``uncompared`` candles could not be compared, because not all their minutes are stored or known to be absent.
    """

    candles: int
    compared: int = 0
    uncompared: int = 0
    mismatches: list[Mismatch] = field(default_factory=list)


@dataclass
class SymbolResult:
    """The result of one symbol.

    ``requests`` is the number of the exchange's answers, ``seconds`` the time from the first of them to the last
    commit. ``error`` is the sentence that the command line prints, None unless ``status`` is ``failed``.
    ``request_ids`` are the ledger rows of the commits; ``timeframes`` are the validated timeframes, by label.
    """

    symbol: str
    status: Status = "ok"
    rows_added: int = 0
    rows_revised: int = 0
    rows_rejected: int = 0
    requests: int = 0
    seconds: float = 0.0
    error: str | None = None
    plan: SymbolPlan | None = field(default=None, repr=False)
    request_ids: list[int] = field(default_factory=list, repr=False)
    timeframes: dict[str, TimeframeResult] = field(default_factory=dict)


class Progress:
    """Receives the progress of a run. This class does nothing; the command line and the page draw bars.

    All methods are called from the thread that started the run.
    """

    def started(self, plans: list[SymbolPlan]) -> None:
        """Called when the run begins."""

    def shortened(self, symbol: str, minutes: int) -> None:
        """Called when ``minutes`` planned minutes lie before the symbol's first candle and are not requested."""

    def received(self, symbol: str, minutes: int, rows: int, calls: int) -> None:
        """Called when an answer covers ``minutes`` more minutes; ``calls`` is the number of requests sent in all."""

    def began(self, symbol: str) -> None:
        """Called when the first request for the symbol is sent."""

    def waiting(self, wait: Wait) -> None:
        """Called when requests wait: for a host that asks for it, for the next try, or for the request budget.

        It is also called from other threads before and after the downloads. Here it notes a wait that is worth it.
        """
        if wait.is_noted:
            self.note(str(wait))

    def finished(self, result: SymbolResult) -> None:
        """Called when all requests for the symbol are done."""

    def note(self, text: str) -> None:
        """Called with a message for the user, such as that the run waits for another process."""


class Notes(Progress):
    """Passes on the messages for the user, and nothing else."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note

    def note(self, text: str) -> None:
        """Passes the message on."""
        self._note(text)
