"""Serves the archive as S3 does: its files, and lists of them in pages of a thousand keys."""

from __future__ import annotations

import re
from email.utils import format_datetime
from itertools import islice
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from threadx_duck.simulator.archive_names import CHECKSUM, ROOT, intervals_of
from threadx_duck.simulator.wire import Request, Response

if TYPE_CHECKING:
    from collections.abc import Iterator

    from threadx_duck.simulator.archive import Archive
    from threadx_duck.simulator.archive_names import Kind

# A client that asks S3 itself gives the name of the bucket as the path.
LISTING_PATHS = ("/", "/data.binance.vision")
_XML = "application/xml"
_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_FIXED_FOLDERS = {
    "": ["data"],
    "data/": ["spot"],
    f"{ROOT}/": ["daily", "monthly"],
    f"{ROOT}/daily/": ["klines"],
    f"{ROOT}/monthly/": ["klines"],
}


def answer(archive: Archive, request: Request) -> Response:
    """Returns the answer to a request for a listing or a file."""
    if request.path in LISTING_PATHS:
        return Response(body=_listing(archive, request.params), content_type=_XML)
    file = archive.get(request.path[1:])
    if file is None:
        key = escape(request.path[1:])
        body = f"{_DECLARATION}<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message>"
        return Response(404, f"{body}<Key>{key}</Key></Error>".encode(), _XML)
    headers = {
        "ETag": file.etag,
        "Last-Modified": format_datetime(file.modified, usegmt=True),
        "Accept-Ranges": "bytes",
    }
    content_type = "application/zip" if request.path.endswith(".zip") else "binary/octet-stream"
    if request.headers.get("if-none-match") == file.etag:
        return Response(304, b"", content_type, headers)
    asked = _RANGE.fullmatch(request.headers.get("range", ""))
    if asked and int(asked[1]) < len(file.body):
        part = file.body[int(asked[1]) : int(asked[2]) + 1 if asked[2] else None]
        last = int(asked[1]) + len(part) - 1
        headers["Content-Range"] = f"bytes {asked[1]}-{last}/{len(file.body)}"
        return Response(206, part, content_type, headers)
    return Response(200, file.body, content_type, headers)


def _folders(archive: Archive, folder: str) -> list[str]:
    """Returns the names of the folders in a folder."""
    if folder in _FIXED_FOLDERS:
        return _FIXED_FOLDERS[folder]
    kind = _kind(folder)
    parts = folder.split("/")
    if kind is None or len(parts) not in {5, 6}:
        return []
    if len(parts) == 6:
        return intervals_of(kind) if next(archive.published(kind, parts[4], "1m"), None) else []
    return [symbol for symbol in archive.symbols() if next(archive.published(kind, symbol, "1m"), None)]


def _files(archive: Archive, folder: str) -> list[str]:
    """Returns the names of the files in a folder."""
    kind = _kind(folder)
    parts = folder.split("/")
    if kind is None or len(parts) != 7 or parts[4] not in archive.symbols() or parts[5] not in intervals_of(kind):
        return []
    stems = [name.stem for name in archive.published(kind, parts[4], parts[5])]
    return [name for stem in stems for name in (f"{stem}.zip", f"{stem}.zip{CHECKSUM}")]


def _kind(folder: str) -> Kind | None:
    for kind in ("daily", "monthly"):
        if folder.startswith(f"{ROOT}/{kind}/klines/"):
            return kind
    return None


def _keys(archive: Archive, prefix: str, delimiter: str, marker: str) -> Iterator[str]:
    """Yields the keys that start with a prefix and come after a marker, in order; folders end in a slash."""
    folder = prefix[: prefix.rfind("/") + 1]
    children = {f"{folder}{name}/" for name in _folders(archive, folder)}
    children |= {folder + name for name in _files(archive, folder)}
    for key in archive.put_keys():
        if key.startswith(folder):
            name, slash, _ = key[len(folder) :].partition("/")
            children.add(folder + name + slash)
    for child in sorted(children, key=str.encode):
        if not child.startswith(prefix):
            continue
        if child.endswith("/") and not delimiter:
            yield from _keys(archive, child, delimiter, marker)
        elif child > marker:
            yield child


def _listing(archive: Archive, params: dict[str, str]) -> bytes:
    prefix, delimiter = params.get("prefix", ""), params.get("delimiter", "")
    second = params.get("list-type") == "2"
    marker = params.get("continuation-token" if second else "marker", "")
    most = min(1_000, int(params.get("max-keys", 1_000)))
    found = list(islice(_keys(archive, prefix, delimiter, marker), most + 1))
    page, cut = found[:most], len(found) > most
    fields = {
        "Name": "data.binance.vision",
        "Prefix": prefix,
        "Marker": marker,
        "MaxKeys": str(most),
        "Delimiter": delimiter,
        "IsTruncated": str(cut).lower(),
    }
    if second:
        fields["KeyCount"] = str(len(page))
        del fields["Marker"]
    if cut and second:
        fields["NextContinuationToken"] = page[-1]
    elif cut and delimiter:
        # Without a delimiter the caller continues from the last key.
        fields["NextMarker"] = page[-1]
    text = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields.items())
    entries = "".join(_entry(archive, key) for key in page)
    namespace = "http://s3.amazonaws.com/doc/2006-03-01/"
    return f'{_DECLARATION}<ListBucketResult xmlns="{namespace}">{text}{entries}</ListBucketResult>'.encode()


def _entry(archive: Archive, key: str) -> str:
    if key.endswith("/"):
        return f"<CommonPrefixes><Prefix>{escape(key)}</Prefix></CommonPrefixes>"
    file = archive.get(key)
    if file is None:
        return ""
    return (
        f"<Contents><Key>{escape(key)}</Key>"
        f"<LastModified>{file.modified:%Y-%m-%dT%H:%M:%S}.000Z</LastModified>"
        f"<ETag>{escape(file.etag, {chr(34): '&quot;'})}</ETag>"
        f"<Size>{len(file.body)}</Size><StorageClass>STANDARD</StorageClass></Contents>"
    )
