"""Verified archive files kept on this machine, in a folder of the archive's own layout."""

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
    """The sha256 that a checksum file names, in lower case; None if it names none. Its file name is not compared."""
    found = _CHECKSUM.match(text)
    return found[1].decode().lower() if found else None


@dataclass(frozen=True)
class KeptFile:
    """A zip that agrees with the checksum beside it; ``kept_at`` is when the exchange gave it, naive UTC."""

    body: bytes
    sha256: str
    kept_at: datetime


class KeptFiles:
    """The folder of kept files; a file that cannot be written is not kept, and said to be so once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._warned = False

    def read(self, file: ArchiveFile) -> KeptFile | None:
        """The kept file, if it is there and still what its checksum says."""
        path = self._folder / file.key
        return read_verified(path)

    def list(self, symbol: str) -> frozenset[ArchiveFile]:
        """The files of a symbol that seem to be kept, by their names."""
        folders = {(self._folder / ArchiveFile(source, symbol, _ANY).key).parent for source in _SOURCES}
        try:
            names = [path.name for folder in folders if folder.is_dir() for path in folder.glob("*.zip")]
        except OSError:
            # Such as for a symbol longer than a file's name may be.
            return frozenset()
        return frozenset(file for file in map(ArchiveFile.of_name, names) if file and file.symbol == symbol)

    def keep(self, file: ArchiveFile, body: bytes, checksum: str, moment: datetime) -> None:
        """Writes a verified zip and its checksum; each appears whole or not at all."""
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
    """A zip on disk if a checksum lies beside it and agrees; None otherwise."""
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
    # Not waited for: a file that a power loss cuts short no longer agrees with its checksum, and is asked again.
    with whole_file(path, lasting=False) as stream:
        stream.write(content)
        stream.flush()
        seconds = moment.replace(tzinfo=UTC).timestamp()
        os.utime(stream.name, (seconds, seconds))
