"""Turns one file on disk into the pages that an import commits, or refuses the file with the reason."""

from __future__ import annotations

import gzip
import time
import zlib
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from threadx_duck.archive.kept import read_verified
from threadx_duck.archive.names import CHECKSUM_SUFFIX, ArchiveFile
from threadx_duck.archive.rows import read_kline_csv
from threadx_duck.archive.source import read_archive_file, to_page
from threadx_duck.archive.unzip import member_name, open_plain, open_zip
from threadx_duck.candles.klines import REJECTED_SCHEMA, Klines, in_time_order
from threadx_duck.candles.times import EPOCH, MINUTE, utc_now
from threadx_duck.errors import BadResponseError, UsageError
from threadx_duck.files.objections import require_minutes
from threadx_duck.foreign.archive_signs import require_spot_file
from threadx_duck.foreign.columns import has_archive_order
from threadx_duck.foreign.csv_files import without_mark
from threadx_duck.foreign.names import FileName, read_name, require_spot
from threadx_duck.foreign.reading import read_foreign
from threadx_duck.ledger.page import Page
from threadx_duck.texts.visible import visible

KINDS = (".zip", ".csv", ".csv.gz", ".parquet", ".feather", ".json", ".json.gz", ".duckdb")

# The exchange opened in July 2017.
_FIRST = datetime(2017, 7, 1)

_SHOWN = 120


class FilePages(NamedTuple):
    """A page for each symbol of a file, and notes that tell the user how the file was read."""

    pages: list[Page]
    notes: list[str]


def read_pages(path: Path, given: str | None, mapping: Mapping[str, str]) -> FilePages:
    """Returns the pages of one file. ``given`` is its symbol if the user named it.

    The whole file is read at once, because a fault in its last candle makes the first doubtful too. Raises
    `UsageError` or `BadResponseError`.
    """
    named = read_name(path.name)
    if named.timeframe not in {None, "1m"}:
        raise UsageError(f"{path.name} holds {named.timeframe} candles by its name; only 1m can be imported.")
    if path.suffix.lower() == ".zip" and path.with_name(path.name + CHECKSUM_SUFFIX).exists():
        return FilePages([_verified(path, given)], [])
    packed = path.read_bytes()
    inner, body = _unpacked(path, packed)
    kind = inner.suffix.lower()
    if kind not in {".parquet", ".feather"}:
        body = without_mark(body)
        for place in (path, inner):
            require_spot_file(path.name, place, body[:4096])
    if inner.name != path.name:
        named = _agreed(path.name, named, inner.name, given)
    name = given or named.symbol
    klines = _archive_rows(name, path.name, body) if name and not mapping else None
    if name and klines is not None:
        return FilePages([to_import(path, name, klines, packed)], [])
    found, notes = read_foreign(path.name, body, given, named.symbol, mapping, kind=kind)
    found = [(symbol, _within_life(klines)) for symbol, klines in found]
    for _, klines in found:
        require_minutes(path.name, klines)
    notes += require_candles(path.name, [klines for _, klines in found])
    return FilePages([to_import(path, symbol, klines, packed) for symbol, klines in found], notes)


def to_import(path: Path, symbol: str, klines: Klines, body: bytes) -> Page:
    """Returns a page that is conclusive for nothing.

    Of repeated candles it holds one, and it holds none that is not over by this machine's clock.
    """
    klines = _within_life(klines._replace(candles=in_time_order(klines.candles, path.name)))
    require_minutes(path.name, klines)
    candles = klines.candles
    start = candles["open_time"][0].as_py() if candles.num_rows else EPOCH
    return Page(
        symbol=symbol,
        timeframe="1m",
        source="import",
        range_start=start,
        range_end=start,
        candles=candles,
        rejected=klines.rejected,
        url=path.name,
        bodies=(body,),
        requested_at=utc_now().replace(microsecond=0),
        seconds=0.0,
    )


def _verified(path: Path, given: str | None) -> Page:
    """Returns the page of a zip that the checksum file beside it verifies as the archive's."""
    began = time.monotonic()
    verified = read_verified(path)
    if verified is None:
        raise BadResponseError(f"{path.name} does not match the checksum beside it; nothing of it was stored.")
    file = ArchiveFile.of_name(path.name)
    if file is None:
        raise UsageError(f"{path.name} is not named as a file of the archive, such as BTCUSDC-1m-2024-01.zip.")
    require_spot(file.symbol, path.name)
    if given not in {None, file.symbol}:
        raise UsageError(f"{path.name} is the archive's file of {file.symbol}, not of {given}; leave --symbol out.")
    with open_zip(verified.body, path.name)() as opened:
        require_spot_file(path.name, path, without_mark(opened.peek(4096)[:4096]))
    klines = read_archive_file(file, verified.body)
    return to_page(file, klines, verified.sha256, path.name, verified.kept_at, time.monotonic() - began)


def _unpacked(path: Path, packed: bytes) -> tuple[Path, bytes]:
    """The bytes of a file, and where they lie: of a zip, its only member below the zip's own folder."""
    name = path.name
    if name.lower().endswith(".zip"):
        member = PurePosixPath(member_name(packed, name).replace("\\", "/"))
        if member.suffix.lower() in {".zip", ".gz", ".duckdb"}:
            raise BadResponseError(f"{name} holds {visible(member.name)}, which is no table. Unpack it first.")
        with open_zip(packed, name)() as opened:
            return path.parent.joinpath(*member.parts), opened.read()
    if not name.lower().endswith(".gz"):
        return path, packed
    try:
        return path.with_suffix(""), gzip.decompress(packed)
    except (OSError, EOFError, zlib.error) as error:
        raise BadResponseError(f"{name} is not readable gzip: {error}.") from error


def _agreed(name: str, named: FileName, member: str, given: str | None) -> FileName:
    """What the names of a packed file and of the file in it say together. Raises `UsageError` where they differ."""
    try:
        inner = read_name(member)
    except UsageError as error:
        raise UsageError(f"{name}: {visible(str(error))}") from error
    if inner.timeframe not in {None, "1m"}:
        raise UsageError(
            f"{name} holds {visible(member)}, with {inner.timeframe} candles by its name; only 1m can be imported."
        )
    if not given and None not in {named.symbol, inner.symbol} and named.symbol != inner.symbol:
        raise UsageError(
            f"{name} is named after {named.symbol} and holds {visible(member)}. Say whose candles they are: --symbol."
        )
    return FileName(named.symbol or inner.symbol, named.timeframe or inner.timeframe)


def _archive_rows(symbol: str, name: str, body: bytes) -> Klines | None:
    """Returns the candles of a file with the archive's rows, in a third of the time; None if it has other rows."""
    line = body[:4096].partition(b"\n")[0].strip()
    if b'"' in line or line.count(b",") != 11 or not (line[:1].isdigit() or has_archive_order(line)):
        return None
    try:
        klines = _within_life(read_kline_csv(symbol, open_plain(body), name))
    except BadResponseError:
        return None
    return None if klines.rejected.num_rows else klines


def _within_life(klines: Klines) -> Klines:
    """Returns the candles, with those that are not over yet or older than the exchange among the rejected rows."""
    last = utc_now() - MINUTE
    for reason, is_within in (
        ("not_closed", pc.less_equal(klines.candles["open_time"], pa.scalar(last))),
        ("before_the_exchange", pc.greater_equal(klines.candles["open_time"], pa.scalar(_FIRST))),
    ):
        klines = klines if pc.all(is_within).as_py() is not False else _rejecting(klines, is_within, reason)
    return klines


def _rejecting(klines: Klines, is_within: pa.ChunkedArray, reason: str) -> Klines:
    outside = klines.candles.filter(pc.invert(is_within))
    rejected = pa.table(
        [
            outside["symbol"],
            outside["open_time"],
            [orjson.dumps(row, default=str).decode() for row in outside.to_pylist()],
            [reason] * outside.num_rows,
        ],
        schema=REJECTED_SCHEMA,
    )
    return Klines(klines.candles.filter(is_within), pa.concat_tables([klines.rejected, rejected]))


def require_candles(name: str, found: list[Klines]) -> list[str]:
    """Returns the notes on rejected rows. Raises `BadResponseError` if there are more of them than candles."""
    reasons = Counter[str]()
    for klines in found:
        reasons.update(klines.rejected["reason"].to_pylist())
    if not reasons:
        return []
    kept, rejected = sum(klines.candles.num_rows for klines in found), reasons.total()
    reason, count = reasons.most_common(1)[0]
    raw = next(
        raw
        for klines in found
        for raw, why in zip(klines.rejected["raw"].to_pylist(), klines.rejected["reason"].to_pylist(), strict=True)
        if why == reason
    )
    example = visible(raw if len(raw) <= _SHOWN else raw[:_SHOWN] + "…")
    if rejected > kept:
        raise BadResponseError(
            f"{name} was refused: {rejected:,} of {rejected + kept:,} rows are no candles, {count:,} of them "
            f"{reason}, such as {example}. Are the columns in another order, or of another exchange?"
        )
    return [f"{name}: {rejected:,} of {rejected + kept:,} rows rejected, {count:,} {reason}, such as {example}"]
