"""Verified archive files kept on this machine, in a folder with the archive's layout."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from threadx_duck.archive.names import CHECKSUM_SUFFIX, ArchiveFile, FileSource
from threadx_duck.disk.whole_files import whole_file
from threadx_duck.errors import UsageError

logger = logging.getLogger("threadx_duck.sources")

_CHECKSUM = re.compile(rb"\s*([0-9a-fA-F]{64})(?![0-9a-fA-F])")


def read_checksum(text: bytes) -> str | None:
    """Returns the SHA-256 in a checksum file, in lower case; None if it has none. Its file name is not compared."""
    found = _CHECKSUM.match(text)
    return found[1].decode().lower() if found else None


@dataclass(frozen=True)
class KeptFile:
    """A zip that matches the checksum file beside it; ``kept_at`` is when the exchange sent it, naive UTC."""

    body: bytes
    sha256: str
    kept_at: datetime


class KeptFiles:
    """The folder of kept files. A file that cannot be written is not kept; the first such failure is logged."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._warned = False

    def read(self, file: ArchiveFile) -> KeptFile | None:
        """Returns the kept file; None if it does not exist or no longer matches its checksum."""
        path = self._folder / file.key
        return read_verified(path)

    def list(self, symbol: str) -> frozenset[ArchiveFile]:
        """Returns the files of a symbol that are kept, judged by their names only."""
        folders = {(self._folder / ArchiveFile(source, symbol, _ANY).key).parent for source in _SOURCES}
        try:
            names = [path.name for folder in folders if folder.is_dir() for path in folder.glob("*.zip")]
        except OSError:
            # For example, a symbol longer than a file name may be.
            return frozenset()
        return frozenset(file for file in map(ArchiveFile.of_name, names) if file and file.symbol == symbol)

    def keep(self, file: ArchiveFile, body: bytes, checksum: str, moment: datetime) -> None:
        """Writes a verified zip and its checksum. Each file appears whole or not at all."""
        path = self._folder / file.key
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path.with_name(path.name + CHECKSUM_SUFFIX), f"{checksum}  {path.name}\n".encode(), moment)
            _write(path, body, moment)
        except (OSError, UsageError) as error:
            if not self._warned:
                self._warned = True
                logger.warning("cannot keep %s: %s", path, getattr(error, "strerror", None) or error)


_ANY = datetime(2017, 7, 1)
_SOURCES: tuple[FileSource, ...] = ("archive_monthly", "archive_daily")


def read_verified(path: Path) -> KeptFile | None:
    """Returns a zip on disk if a checksum file beside it matches; None otherwise."""
    try:
        body = path.read_bytes()
        expected = read_checksum(path.with_name(path.name + CHECKSUM_SUFFIX).read_bytes())
        modified = path.stat().st_mtime
    except OSError:
        return None
    sha256 = hashlib.sha256(body).hexdigest()
    if sha256 != expected:
        return None
    return KeptFile(body, sha256, datetime.fromtimestamp(modified, UTC).replace(tzinfo=None, microsecond=0))


def _write(path: Path, content: bytes, moment: datetime) -> None:
    # No sync to disk: a file that a power loss cuts short does not match its checksum, and is downloaded again.
    with whole_file(path, lasting=False) as stream:
        stream.write(content)
        stream.flush()
        seconds = moment.replace(tzinfo=UTC).timestamp()
        os.utime(stream.name, (seconds, seconds))
