"""Ingests files that lie on disk: archive zips, CSV in the archive's layout, and Parquet."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from threadx_duck.archive_files import CHECKSUM_SUFFIX, ArchiveFile
from threadx_duck.candles import REJECTED_SCHEMA, VALUE_FIELDS, Klines, in_time_order, split_klines
from threadx_duck.errors import BadResponseError, ThreadxDuckError, UsageError
from threadx_duck.ledger import COMMIT_ROWS, Buffer, make_batches
from threadx_duck.results import Progress
from threadx_duck.sources.archive import read_archive_file, to_page
from threadx_duck.sources.kept import read_verified
from threadx_duck.sources.klines_csv import Opener, open_plain, open_zip, read_kline_csv
from threadx_duck.sources.page import Page
from threadx_duck.store import Store
from threadx_duck.times import EPOCH, MINUTE, utc_now

logger = logging.getLogger("threadx_duck.ingest")

_REQUIRED = ("open_time", "open", "high", "low", "close", "volume")
_OTHER_TIMEFRAME = re.compile(r"[^/\\]+-(?P<timeframe>\d+(?:s|m|h|d|w|mo))-\d{4}-\d{2}(?:-\d{2})?\.\w+", re.ASCII)

# A file of at least so many candles of which no two are a minute apart holds another timeframe.
_ENOUGH_TO_TELL = 3


@dataclass
class ImportResult:
    """What became of one file; ``source`` is ``archive_monthly`` or ``archive_daily`` for a verified archive zip."""

    file: str
    status: Literal["ok", "failed"] = "ok"
    source: str | None = None
    symbols: list[str] = field(default_factory=list)
    rows_added: int = 0
    rows_revised: int = 0
    rows_rejected: int = 0
    error: str | None = None


class Importer:
    """Reads files one by one and commits them in large batches, each file with its hash and name as evidence."""

    def __init__(self, store: Store, progress: Progress) -> None:
        self._store = store
        self._progress = progress
        self._buffer = Buffer()
        self._result_of: dict[int, ImportResult] = {}

    def run(self, paths: Sequence[Path], symbol: str | None) -> dict[str, ImportResult]:
        """Imports files; ``symbol`` is that of files that name none. A bad file does not stop the others."""
        results = {str(path): ImportResult(str(path)) for path in paths}
        for path in sorted(dict.fromkeys(paths), key=_order):
            result = results[str(path)]
            try:
                pages = _read(path, symbol)
            except ThreadxDuckError as error:
                result.status, result.error = "failed", str(error)
                logger.warning("%s: %s", path.name, error)
                continue
            self._add(pages, result)
        self._commit()
        return results

    def _add(self, pages: list[Page], result: ImportResult) -> None:
        for page in pages:
            result.source = page.source
            result.symbols.append(page.symbol)
            self._buffer.add(page)
            self._result_of[self._buffer.requests[-1].request_id] = result
        if self._buffer.rows >= COMMIT_ROWS:
            self._commit()

    def _commit(self) -> None:
        requests, self._buffer = self._buffer.requests, Buffer()
        for appended in self._store.append(make_batches(requests)) if requests else []:
            result = self._result_of[appended.request_id]
            result.rows_added += appended.rows_added
            result.rows_revised += appended.rows_revised
        for request in requests:
            self._result_of[request.request_id].rows_rejected += request.ledger_row()["rows_rejected"]


def _order(path: Path) -> tuple[str, str]:
    """Archive files of a symbol in time order, whatever the order in which they were named."""
    return ("", path.name) if ArchiveFile.of_name(path.name) is None else (path.name.partition("-")[0], path.name)


def _read(path: Path, symbol: str | None) -> list[Page]:
    """The pages of one file, one a symbol. Raises `UsageError` or `BadResponseError`."""
    readers: dict[str, Callable[[Path, str | None], list[Page]]] = {
        ".zip": _read_zip,
        ".csv": _read_csv,
        ".parquet": _read_parquet,
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UsageError(f"{path.name} is of no kind that can be imported. Name .zip, .csv or .parquet files.")
    other = _OTHER_TIMEFRAME.fullmatch(path.name)
    if other and other["timeframe"] != "1m":
        raise UsageError(f"{path.name} holds {other['timeframe']} candles by its name; only 1m can be imported.")
    try:
        return reader(path, symbol)
    except OSError as error:
        raise UsageError(f"Cannot read {path}: {error.strerror or error}.") from error


def _read_zip(path: Path, symbol: str | None) -> list[Page]:
    began = time.monotonic()
    if not path.with_name(path.name + CHECKSUM_SUFFIX).exists():
        body = path.read_bytes()
        return [_import_csv(path, symbol, body, open_zip(body, path.name))]
    verified = read_verified(path)
    if verified is None:
        raise BadResponseError(f"{path.name} does not match the checksum beside it; nothing of it was stored.")
    file = ArchiveFile.of_name(path.name)
    if file is None:
        raise UsageError(f"{path.name} is not named as a file of the archive, such as BTCUSDC-1m-2024-01.zip.")
    klines = read_archive_file(file, verified.body)
    return [to_page(file, klines, verified.sha256, path.name, verified.kept_at, time.monotonic() - began)]


def _read_csv(path: Path, symbol: str | None) -> list[Page]:
    body = path.read_bytes()
    return [_import_csv(path, symbol, body, open_plain(body))]


def _import_csv(path: Path, symbol: str | None, body: bytes, opener: Opener) -> Page:
    file = ArchiveFile.of_name(path.name)
    name = symbol or (file.symbol if file else None)
    if name is None:
        raise UsageError(f"{path.name} names no symbol. Say which: threadx import {path.name} --symbol BTCUSDC")
    return _to_import(path, name, read_kline_csv(name, opener, path.name), body)


def _read_parquet(path: Path, symbol: str | None) -> list[Page]:
    body = path.read_bytes()
    try:
        table = pq.read_table(pa.BufferReader(body))
    except pa.ArrowException as error:
        raise BadResponseError(f"{path.name} is not readable Parquet: {error}.") from error
    lacking = [name for name in _REQUIRED if name not in table.column_names]
    if lacking:
        raise UsageError(f"{path.name} lacks the columns {', '.join(lacking)}.")
    return [
        _to_import(path, name, _split_table(path, name, rows), body) for name, rows in _by_symbol(path, symbol, table)
    ]


def _by_symbol(path: Path, symbol: str | None, table: pa.Table) -> Iterable[tuple[str, pa.Table]]:
    if "symbol" not in table.column_names:
        file = ArchiveFile.of_name(path.stem)
        name = symbol or (file.symbol if file else None)
        if name is None:
            raise UsageError(f"{path.name} has no column symbol. Say which it is: --symbol BTCUSDC")
        return [(name, table)]
    symbols = table["symbol"].cast(pa.string())
    if symbols.null_count:
        raise UsageError(f"{path.name} has rows without a symbol.")
    return [(name, table.filter(pc.equal(symbols, name))) for name in sorted(pc.unique(symbols).to_pylist())]


def _split_table(path: Path, symbol: str, rows: pa.Table) -> Klines:
    """The candles of a table with the contract's column names; what it may lack is null."""
    try:
        columns = {"open_time": _epochs(rows["open_time"])}
        for value in VALUE_FIELDS:
            is_there = value.name in rows.column_names
            columns[value.name] = rows[value.name].cast(value.type) if is_there else pa.nulls(rows.num_rows, value.type)
    except pa.ArrowException as error:
        raise UsageError(f"{path.name} has a column of an unusable type: {error}.") from error

    def raw(positions: list[int]) -> list[str]:
        return [orjson.dumps(row, default=str).decode() for row in rows.take(positions).to_pylist()]

    return split_klines(symbol, pa.table(columns), raw)


def _epochs(times: pa.ChunkedArray) -> pa.ChunkedArray:
    """Open times as microseconds since 1970; whole numbers as they are, in milliseconds or microseconds."""
    if pa.types.is_timestamp(times.type):
        return times.cast(pa.timestamp("us", times.type.tz), safe=False).cast(pa.int64())
    return times.cast(pa.int64())


def _closed_only(klines: Klines, now: datetime) -> Klines:
    """The same with candles that are not over yet among the rejected rows."""
    is_closed = pc.less_equal(klines.candles["open_time"], pa.scalar(now - MINUTE))
    if pc.all(is_closed).as_py() is not False:
        return klines
    forming = klines.candles.filter(pc.invert(is_closed))
    rejected = pa.table(
        [
            forming["symbol"],
            forming["open_time"],
            [orjson.dumps(row, default=str).decode() for row in forming.to_pylist()],
            ["not_closed"] * forming.num_rows,
        ],
        schema=REJECTED_SCHEMA,
    )
    return Klines(klines.candles.filter(is_closed), pa.concat_tables([klines.rejected, rejected]))


def _to_import(path: Path, symbol: str, klines: Klines, body: bytes) -> Page:
    """A page that is conclusive for nothing; of repeats one, nothing that is not over by this machine's clock."""
    now = utc_now()
    klines = _closed_only(klines._replace(candles=in_time_order(klines.candles, path.name)), now)
    candles = klines.candles
    if candles.num_rows >= _ENOUGH_TO_TELL:
        opens = candles["open_time"].cast(pa.int64())
        if pc.min(pc.subtract(opens[1:], opens[:-1])).as_py() > MINUTE.total_seconds() * 1e6:
            raise BadResponseError(f"{path.name} holds no 1m candles: no two are a minute apart.")
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
        requested_at=now.replace(microsecond=0),
        seconds=0.0,
    )
