"""The names of the archive's files: kind, symbol, interval and date, and the keys built from them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from threadx_duck.simulator.rollup import DAY_US, INTERVALS

Kind = Literal["daily", "monthly"]
ROOT = "data/spot"
CHECKSUM = ".CHECKSUM"

_KEY = re.compile(
    rf"{ROOT}/(?P<kind>daily|monthly)/klines/(?P<symbol>[^/]+)/(?P<interval>[^/]+)/"
    r"(?P=symbol)-(?P=interval)-(?P<date>\d{4}-\d{2}(?:-\d{2})?)\.zip"
)


def intervals_of(kind: Kind) -> list[str]:
    """Returns the intervals that have files of a kind; 3d, 1w and 1mo have no daily files."""
    names = [
        interval
        for interval, width in INTERVALS.items()
        if kind == "monthly" or (width is not None and width <= DAY_US)
    ]
    return [interval.replace("M", "mo") for interval in names]


@dataclass(frozen=True)
class Name:
    """The name of one file: ``interval`` as the archive writes it (``1mo``), ``date`` a day or month (``2024-01``)."""

    kind: Kind
    symbol: str
    interval: str
    date: str

    @classmethod
    def of(cls, key: str) -> Name | None:
        """Returns the name that a key spells; None if the key names no candle file."""
        found = _KEY.fullmatch(key)
        if found is None or len(found["date"]) != (10 if found["kind"] == "daily" else 7):
            return None
        name = cls(**found.groupdict())  # type: ignore[arg-type]
        try:
            name.days  # noqa: B018
        except ValueError:
            return None
        return name if name.interval in intervals_of(name.kind) else None

    @property
    def key(self) -> str:
        """Returns the key of the zip."""
        return f"{ROOT}/{self.kind}/klines/{self.symbol}/{self.interval}/{self.stem}.zip"

    @property
    def stem(self) -> str:
        """Returns the file name without its extension."""
        return f"{self.symbol}-{self.interval}-{self.date}"

    @property
    def days(self) -> tuple[datetime, datetime]:
        """Returns the first day covered and the first day after, at midnight UTC. Raises ValueError for no date."""
        if self.kind == "daily":
            first = datetime.fromisoformat(self.date).replace(tzinfo=UTC)
            return first, first + timedelta(days=1)
        first = datetime.fromisoformat(f"{self.date}-01").replace(tzinfo=UTC)
        return first, (first + timedelta(days=31)).replace(day=1)
