"""Cells of the coverage map: their counts and their texts. No Tk here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from threadx_duck.audit.coverage import Step
from threadx_duck.candles.ranges import month_of
from threadx_duck.candles.reasons import LABELS, REASONS


class Cell(NamedTuple):
    """One symbol in one month or day; all counts are minutes. ``end`` is exclusive."""

    symbol: str
    start: datetime
    end: datetime
    present: int
    not_downloaded: int
    rejected: int
    outage: int
    not_published: int

    @property
    def expected(self) -> int:
        """Returns the number of minutes that should be there, present or absent."""
        return sum(self[3:])

    @property
    def absent(self) -> dict[str, int]:
        """Returns the number of absent minutes by reason; a reason without any is left out."""
        return {reason: getattr(self, reason) for reason in REASONS if getattr(self, reason)}

    @property
    def needs_download(self) -> bool:
        """Returns whether an ordinary download would ask for any minute of the cell."""
        return self.not_downloaded > 0

    def describe(self, step: Step) -> str:
        """Returns the counts and reasons as lines of text."""
        when = f"{self.start:%B %Y}" if step == "month" else f"{self.start:%Y-%m-%d}"
        share = int(10_000 * self.present / self.expected) / 100
        lines = [f"{self.symbol}, {when}", f"{self.present:,} of {self.expected:,} minutes ({share:.2f} %)"]
        lines += [f"{minutes:,} {LABELS[reason]}" for reason, minutes in self.absent.items()]
        return "\n".join(lines)


def read_cells(rows: Iterable[Mapping[str, Any]]) -> dict[tuple[str, datetime], Cell]:
    """Returns cells by symbol and start, made from the rows of `IngestionManager.coverage_map`."""
    cells = (
        Cell(
            row["symbol"],
            row["cell_start"],
            row["cell_end"],
            row["present"],
            row["not_downloaded"],
            row["rejected"],
            row["outage"],
            row["not_published"],
        )
        for row in rows
    )
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
