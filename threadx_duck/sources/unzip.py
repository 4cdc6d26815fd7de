"""Unpacks the only member of a zip as it is read, in memory, and never more of it than is due."""

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

# A month of candles is about 6 MB; nothing near this is due.
_MOST_UNPACKED = 64 << 20

# Read in parts of this size, because every thread keeps about as much memory as it once needed in one piece.
BLOCK = 1 << 20

# The fixed part of the header before a member's bytes; a name and an extra field of these lengths follow
# (APPNOTE.TXT of the zip format, 4.3.7).
_LOCAL_HEADER = struct.Struct("<26xHH")

# Deflated bytes without the header and trailer of zlib, which a zip leaves out.
_RAW_DEFLATE = -15

# Bytes inflated at once; what they unpack to seldom exceeds a block.
_PACKED = 1 << 18

# The last of them is an exception, whatever the library's annotations say.
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
    """Content that is not packed."""
    return lambda: io.BufferedReader(io.BytesIO(content))


def open_zip(body: bytes, what: str) -> Opener:
    """The only file in a zip, whatever its name and folder, unpacked as it is read.

    Opening it and reading on raise `BadResponseError` for what is no such zip.
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
    """Whether a member is no file of a person's: a folder, or what macOS keeps beside each file."""
    return member.is_dir() or member.filename.startswith("__MACOSX/") or member.filename.endswith(".DS_Store")


def _unpacking(archive: zipfile.ZipFile, member: zipfile.ZipInfo, body: bytes) -> IO[bytes] | _Inflated:
    """The member's content, to be read in parts; opened by `zipfile`, which knows what can be wrong with it."""
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
        """At most so many bytes, none at the end. Raises `zipfile.BadZipFile` or `IsalError`."""
        part = b""
        while not part and not self._inflater.eof:
            # Without a tail there may still be output that had no room before, even after the last piece.
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
    """A zip's member of which no more is unpacked than may be: the size that a zip claims need not be true."""

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
