"""Real candles of the exchange: a small set in the repository, and a larger one that `--real-candles` names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

Expected = TypeVar("Expected")

SMALL = Path(__file__).parents[1] / "data" / "real"
OPTION = "--real-candles"


@dataclass(frozen=True)
class Recordings:
    """A folder of the layout that the README of `SMALL` describes."""

    folder: Path
    is_whole: bool

    @property
    def candles(self) -> Path:
        return self.folder / "candles_1m.parquet"

    @property
    def natives(self) -> Path:
        return self.folder / "native_candles.parquet"

    @property
    def members(self) -> Path:
        return self.folder / "archive_csv"

    @property
    def replies(self) -> Path:
        return self.folder / "rest_json"

    def expect(self, *, small: Expected, whole: Expected) -> Expected:
        """What a test must find in this set."""
        return whole if self.is_whole else small
