"""What an ingest reports: of each symbol, and while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from threadx_duck.download.plan import SymbolPlan

if TYPE_CHECKING:
    from threadx_duck.audit.comparison import Mismatch

Status = Literal["ok", "up_to_date", "failed", "planned"]


@dataclass
class TimeframeResult:
    """The derived candles of one timeframe in the wanted range, and which values differ from the exchange's.

    Compared are those in which this ingest changed minutes, after one repair: so many, and so many of them not,
    because not all their minutes are stored or known to be absent.
    """

    candles: int
    compared: int = 0
    uncompared: int = 0
    mismatches: list[Mismatch] = field(default_factory=list)


@dataclass
class SymbolResult:
    """What became of one symbol.

    ``requests`` counts the exchange's answers, ``seconds`` runs from the first of them to the last commit;
    ``error`` is the sentence that the command line prints, None unless ``status`` is ``failed``.
    ``request_ids`` are the ledger rows of what was committed; ``timeframes`` what was validated, by label.
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
    """Is told how a run goes on. This one does nothing; the command line and the page draw bars.

    All methods are called from the thread that started the run.
    """

    def started(self, plans: list[SymbolPlan]) -> None:
        """The run begins."""

    def shortened(self, symbol: str, minutes: int) -> None:
        """So many planned minutes lie before the symbol's first candle and need not be asked for."""

    def received(self, symbol: str, minutes: int, rows: int, calls: int) -> None:
        """An answer covers so many more minutes; ``calls`` is the number of requests sent in all."""

    def finished(self, result: SymbolResult) -> None:
        """Nothing more will be asked for this symbol."""

    def note(self, text: str) -> None:
        """Something a person would want to know, such as waiting for another process."""


class Notes(Progress):
    """Passes on what a person would want to know, and nothing else."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note

    def note(self, text: str) -> None:
        """Passes it on."""
        self._note(text)
