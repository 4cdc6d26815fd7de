"""Unpacks the only member of a zip in memory while it is read, up to a limit."""

from __future__ import annotations

import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any, TypeAlias

from isal import isal_zlib
from isal.igzip_lib import IsalError

from threadx_duck.errors import BadResponseError

# A month of candles is about 6 MB; no valid file comes near this limit.
_MOST_UNPACKED = 64 << 20

# Content is read in blocks of this size, because every thread keeps about as much memory as its largest block took.
BLOCK = 1 << 20

# The fixed part of the header before a member's bytes. A name and an extra field of these two lengths follow it
# (APPNOTE.TXT of the zip format, 4.3.7).
_LOCAL_HEADER = struct.Struct("<26xHH")

# Deflated bytes without zlib's header and trailer, which a zip does not have.
_RAW_DEFLATE = -15

# How many packed bytes are inflated at once; their content is seldom larger than a block.
_PACKED = 1 << 18

# The last one is an exception, although the library's annotations say otherwise.
_ZIP_ERRORS: tuple[type[Exception], ...] = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    RuntimeError,
    IsalError,  # type: ignore[assignment]
)

Opener: TypeAlias = Callable[[], io.BufferedReader]


def open_plain(content: bytes) -> Opener:
    """Returns a function that opens content that is not packed."""
    return lambda: io.BufferedReader(io.BytesIO(content))


def open_zip(body: bytes, what: str) -> Opener:
    """Returns a function that opens the only file in a zip, whatever its name and folder, and unpacks it while read.

    Opening it and reading from it raise `BadResponseError` if the zip is damaged or does not hold exactly one file.
    """

    def opened() -> io.BufferedReader:
        with _zip_errors(what):
            archive, member = _only_member(body, what)
            return io.BufferedReader(_Member(_unpacking(archive, member, body), what), BLOCK)

    return opened


def member_name(body: bytes, what: str) -> str:
    """What the only file in a zip is called there, with its folder. Raises `BadResponseError` for what is no such."""
    with _zip_errors(what):
        return _only_member(body, what)[1].filename


def _only_member(body: bytes, what: str) -> tuple[zipfile.ZipFile, zipfile.ZipInfo]:
    archive = zipfile.ZipFile(io.BytesIO(body))
    members = [member for member in archive.infolist() if not _is_aside(member)]
    if len(members) != 1:
        raise BadResponseError(f"{what} holds {len(members)} files where one is due.")
    return archive, members[0]


def _is_aside(member: zipfile.ZipInfo) -> bool:
    """Whether a member is not the user's file: a folder, or one of the files that macOS adds."""
    return member.is_dir() or member.filename.startswith("__MACOSX/") or member.filename.endswith(".DS_Store")


def _unpacking(archive: zipfile.ZipFile, member: zipfile.ZipInfo, body: bytes) -> IO[bytes] | _Inflated:
    """Returns the member's content, to be read in parts. `zipfile` opens it, because it checks the member's header."""
    opened = archive.open(member)
    if member.compress_type != zipfile.ZIP_DEFLATED:
        return opened
    start = member.header_offset + _LOCAL_HEADER.size + sum(_LOCAL_HEADER.unpack_from(body, member.header_offset))
    return _Inflated(memoryview(body)[start : start + member.compress_size], member.CRC)


class _Inflated:
    """A deflated member, inflated by isal in a third of the time that `zipfile` takes."""

    def __init__(self, packed: memoryview, crc: int) -> None:
        self._inflater = isal_zlib.decompressobj(_RAW_DEFLATE)
        self._packed = packed
        self._due_crc = crc
        self._crc = 0

    def read(self, size: int) -> bytes:
        """Returns at most ``size`` bytes; an empty result at the end. Raises `zipfile.BadZipFile` or `IsalError`."""
        part = b""
        while not part and not self._inflater.eof:
            # Even without a tail, and after the last piece, there may be output that had no room before.
            pending = memoryview(self._inflater.unconsumed_tail)
            if not pending:
                pending, self._packed = self._packed[:_PACKED], self._packed[_PACKED:]
            part = self._inflater.decompress(pending, size)
            if not part and not pending and not self._inflater.eof:
                raise zipfile.BadZipFile("it ends too early")
        self._crc = isal_zlib.crc32(part, self._crc)
        if not part and self._crc != self._due_crc:
            raise zipfile.BadZipFile("its content does not match its CRC-32")
        return part


class _Member(io.RawIOBase):
    """A member of a zip, unpacked up to a limit only, because the size that the zip claims may be false."""

    def __init__(self, member: IO[bytes] | _Inflated, what: str) -> None:
        super().__init__()
        self._member = member
        self._what = what
        self._size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _zip_errors(self._what):
            part = self._member.read(len(buffer))
        self._size += len(part)
        if self._size > _MOST_UNPACKED:
            raise BadResponseError(f"{self._what} unpacks to over {_MOST_UNPACKED:,} bytes where none so large is due.")
        buffer[: len(part)] = part
        return len(part)


@contextmanager
def _zip_errors(what: str) -> Iterator[None]:
    try:
        yield
    except _ZIP_ERRORS as error:
        raise BadResponseError(f"{what} is not a readable zip: {error}.") from error
