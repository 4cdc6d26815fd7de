"""Cells of the coverage map: their counts and their texts. No Tk here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from threadx_duck.audit.coverage import Step, show_percent
from threadx_duck.candles.ranges import month_of
from threadx_duck.candles.reasons import LABELS, REASONS


class Cell(NamedTuple):
    """One symbol in one month or day, in minutes. ``end`` is exclusive.

    ``expected`` minutes count, present or not; ``complete`` is their share in percent. ``not_asked`` minutes lie
    beyond the symbol's candles and do not count.
    """

    symbol: str
    start: datetime
    end: datetime
    expected: int
    present: int
    complete: float
    not_downloaded: int
    rejected: int
    outage: int
    not_published: int
    not_asked: int

    @property
    def absent(self) -> dict[str, int]:
        """Returns the number of absent minutes by reason; a reason without any is left out."""
        return {reason: getattr(self, reason) for reason in REASONS if getattr(self, reason)}

    @property
    def needs_download(self) -> bool:
        """Returns whether an ordinary download would ask the exchange for anything."""
        return self.not_downloaded > 0 or self.not_asked > 0

    def describe(self, step: Step) -> str:
        """Returns the counts and reasons as lines of text."""
        when = f"{self.start:%B %Y}" if step == "month" else f"{self.start:%Y-%m-%d}"
        lines = [f"{self.symbol}, {when}"]
        if self.expected:
            lines.append(f"{self.present:,} of {self.expected:,} minutes ({show_percent(self.complete)})")
        lines += [f"{minutes:,} {LABELS[reason]}" for reason, minutes in self.absent.items()]
        if self.not_asked:
            lines.append(f"{self.not_asked:,} outside first and last candle, not asked for yet")
        return "\n".join(lines)


_COUNTS = Cell._fields[3:]


def read_cells(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, datetime], Cell]:
    """Cells by symbol and start, from the rows of `IngestionManager.coverage_map`."""
    cells = (Cell(row["symbol"], row["cell_start"], row["cell_end"], *(row[name] for name in _COUNTS)) for row in rows)
    return {(cell.symbol, cell.start): cell for cell in cells}


def column_starts(start: datetime, end: datetime, step: Step) -> list[datetime]:
    """Returns the starts of the months or days that a range touches."""
    moment = start.replace(hour=0, minute=0)
    moment = moment.replace(day=1) if step == "month" else moment
    starts = []
    while moment < end:
        starts.append(moment)
        moment = month_of(moment).end if step == "month" else moment + timedelta(days=1)
    return starts
