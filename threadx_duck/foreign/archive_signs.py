"""Recognises files of the archive's other markets, whose names are like spot's, by folder, header and time unit."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from threadx_duck.archive.names import ArchiveFile
from threadx_duck.errors import UsageError
from threadx_duck.foreign.columns import ARCHIVE_COLUMNS

_FOLDERS = {("futures", "um"): "USD-M futures", ("futures", "cm"): "COIN-M futures", ("data", "option"): "options"}

# Futures also have candles of other prices than those of trades; spot has no such folders.
_OTHER_KLINES = {"markpriceklines", "indexpriceklines", "premiumindexklines"}

# Spot files have microseconds from 2025 on, futures files have milliseconds (thirteen digits until 2286).
_MILLIS_2025 = 1_735_689_600_000
_MILLIS_END = 10**13


def require_spot_file(name: str, path: Path, begin: bytes) -> None:
    """Raises `UsageError` for an archive file of another market. ``begin`` contains the file's first line.

    ``path`` is the file's path, inside a zip too; ``name`` is what a person calls the file. Other files are not
    examined, because people's own tables have headers and milliseconds in every market.
    """
    line = begin.partition(b"\n")[0]
    if ArchiveFile.of_name(path.name.removesuffix(".gz")) is None or line.count(b",") != len(ARCHIVE_COLUMNS) - 1:
        return
    found = _signs(path, line)
    if found:
        raise UsageError(
            f"{name} is a file of {found}; this store holds spot candles. Take the file of data/spot instead."
        )


def _signs(path: Path, line: bytes) -> str | None:
    folders = path.absolute().parent.parts
    for pair in pairwise(part.lower() for part in folders):
        if pair in _FOLDERS:
            return f"{_FOLDERS[pair]} by its folder {'/'.join(pair)}"
    for folder in folders:
        if folder.lower() in _OTHER_KLINES:
            return f"futures by its folder {folder}"
    first = line.partition(b",")[0].strip()
    if first == b"open_time":
        return "futures by its header line, which spot's files have not"
    if first.isdigit() and _MILLIS_2025 <= int(first) < _MILLIS_END:
        return "futures by its milliseconds in 2025 or later, where spot's files have microseconds"
    return None
