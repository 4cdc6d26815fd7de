"""The names of the bulk archive's files of 1-minute candles, on its host and in a folder of the same layout."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Literal, NamedTuple
from urllib.parse import quote, unquote

from threadx_duck.candles.ranges import TimeRange, day_of, month_of

FileSource = Literal["archive_monthly", "archive_daily"]
CHECKSUM_SUFFIX = ".CHECKSUM"

_FOLDERS: dict[str, str] = {"archive_monthly": "monthly", "archive_daily": "daily"}
_NAME = re.compile(r"(?P<symbol>[^/\\]+)-1m-(?P<date>\d{4}-\d{2}(?P<day>-\d{2})?)(?:\.zip|\.csv)?", re.ASCII)


class ArchiveFile(NamedTuple):
    """The archive file of one symbol for one UTC day or month; ``start`` is its first minute."""

    source: FileSource
    symbol: str
    start: datetime

    @classmethod
    def of_name(cls, name: str) -> ArchiveFile | None:
        """Returns the file with a name such as ``BTCUSDC-1m-2024-01.zip``; None for any other name."""
        found = _NAME.fullmatch(name)
        if found is None:
            return None
        try:
            start = datetime.fromisoformat(found["date"] if found["day"] else f"{found['date']}-01")
        except ValueError:
            return None
        return cls("archive_daily" if found["day"] else "archive_monthly", unquote(found["symbol"]), start)

    @property
    def period(self) -> TimeRange:
        """The range of the minutes whose candles the file holds."""
        return day_of(self.start) if self.source == "archive_daily" else month_of(self.start)

    @property
    def name(self) -> str:
        """The name of the zip. It never leads to another folder, whatever characters the symbol contains."""
        date = self.start.strftime("%Y-%m-%d" if self.source == "archive_daily" else "%Y-%m")
        return f"{_encoded(self.symbol)}-1m-{date}.zip"

    @property
    def key(self) -> str:
        """The file's path below the archive's root."""
        return folder_of(self.source, self.symbol) + self.name


def folder_of(source: FileSource, symbol: str) -> str:
    """Returns the path of the folder of a symbol's files below the archive's root, with a slash at its end."""
    return f"data/spot/{_FOLDERS[source]}/klines/{_encoded(symbol)}/1m/"


def _encoded(symbol: str) -> str:
    encoded = quote(symbol, safe="")
    return encoded.replace(".", "%2E") if not encoded.strip(".") else encoded
