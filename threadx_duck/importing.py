"""Ingests files that lie on disk: archive zips and CSV, tables that others wrote, and other stores."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from threadx_duck.archive_files import CHECKSUM_SUFFIX, ArchiveFile
from threadx_duck.arrays import empty
from threadx_duck.candles import REJECTED_SCHEMA, Klines, in_time_order
from threadx_duck.config import StoreSettings
from threadx_duck.errors import BadResponseError, ThreadxDuckError, UsageError
from threadx_duck.foreign_tables import read_foreign, read_name
from threadx_duck.import_evidence import require_minutes, require_unshifted, without_absent
from threadx_duck.ledger import COMMIT_ROWS, Buffer, make_batches
from threadx_duck.results import Progress
from threadx_duck.sources.archive import read_archive_file, to_page
from threadx_duck.sources.kept import read_verified
from threadx_duck.sources.klines_csv import read_kline_csv
from threadx_duck.sources.page import Page
from threadx_duck.sources.unzip import Opener, open_plain, open_zip
from threadx_duck.store import Store
from threadx_duck.storefile import hash_file
from threadx_duck.times import EPOCH, MINUTE, utc_now

logger = logging.getLogger("threadx_duck.ingest")

_KINDS = (".zip", ".csv", ".csv.gz", ".parquet", ".feather", ".json", ".json.gz", ".duckdb")
_ARCHIVE_COLUMNS = 12


@dataclass
class ImportResult:
    """What became of one file; ``source`` is ``archive_monthly`` or ``archive_daily`` for a verified archive zip.

    ``rows_differing`` counts candles that the exchange told otherwise, ``rows_absent`` those of minutes that
    it is known to lack: neither was stored. The former are listed in ``revisions``.
    """

    file: str
    status: Literal["ok", "failed"] = "ok"
    source: str | None = None
    symbols: list[str] = field(default_factory=list)
    rows_added: int = 0
    rows_revised: int = 0
    rows_rejected: int = 0
    rows_differing: int = 0
    rows_absent: int = 0
    error: str | None = None


class Importer:
    """Reads files one by one and commits them in large batches, each file with its hash and name as evidence."""

    def __init__(self, store: Store, settings: StoreSettings, progress: Progress) -> None:
        self._store = store
        self._settings = settings
        self._progress = progress
        self._buffer = Buffer()
        self._result_of: dict[int, ImportResult] = {}

    def run(
        self, paths: Sequence[Path], symbol: str | None, columns: Mapping[str, str] | None = None
    ) -> dict[str, ImportResult]:
        """Imports files; ``symbol`` is that of files that name none, ``columns`` their columns by ours.

        A bad file does not stop the others.
        """
        results = {str(path): ImportResult(str(path)) for path in paths}
        for path in sorted(dict.fromkeys(paths), key=_order):
            result = results[str(path)]
            try:
                for page in self._read(path, symbol, columns or {}):
                    self._add(self._examined(page, result), result)
            except ThreadxDuckError as error:
                result.status, result.error = "failed", str(error)
                logger.warning("%s: %s", path.name, error)
        self._commit()
        return results

    def _read(self, path: Path, symbol: str | None, columns: Mapping[str, str]) -> Iterable[Page]:
        """The pages of one file, of a store a year at a time. Raises `UsageError` or `BadResponseError`."""
        if not path.name.lower().endswith(_KINDS):
            raise UsageError(f"{path.name} is of no kind that can be imported. The kinds are {', '.join(_KINDS)}.")
        named = read_name(path.name)
        if named.timeframe not in {None, "1m"}:
            raise UsageError(f"{path.name} holds {named.timeframe} candles by its name; only 1m can be imported.")
        try:
            if path.suffix.lower() == ".duckdb":
                return self._read_store(path)
            # All of a file at once: what is wrong with its last candle speaks against the first.
            return _read_file(path, symbol or named.symbol, columns)
        except OSError as error:
            raise UsageError(f"Cannot read {path}: {error.strerror or error}.") from error

    def _read_store(self, path: Path) -> Iterator[Page]:
        """The candles of another store. Where they came from stays its own affair: here they are an import."""
        if self._store.lake is None and self._store.exists and path.samefile(self._store.path):
            raise UsageError(f"{path} is the store itself.")
        sha256 = hash_file(path)
        with Store(replace(self._settings, database=path.absolute())).reading() as session:
            for symbol, first, last in session.run("queries/symbol_spans"):
                for year in range(first.year, last.year + 1):
                    span = {"start": datetime(year, 1, 1), "end": datetime(year + 1, 1, 1)}
                    candles = session.query("queries/candles_1m", symbol=symbol, **span)
                    if not candles.num_rows:
                        continue
                    page = _to_import(path, symbol, Klines(candles, empty(REJECTED_SCHEMA)), b"")
                    yield replace(page, bodies=(), sha256=sha256)

    def _examined(self, page: Page, result: ImportResult) -> Page:
        """The page without what the exchange is known to lack. Raises `BadResponseError` for shifted times."""
        if page.source != "import" or not self._store.exists:
            return page
        with self._store.reading() as session:
            require_unshifted(session, page)
            page, absent = without_absent(session, page)
        result.rows_absent += absent
        return page

    def _add(self, page: Page, result: ImportResult) -> None:
        result.source = page.source
        if page.symbol not in result.symbols:
            result.symbols.append(page.symbol)
        self._buffer.add(page)
        self._result_of[self._buffer.requests[-1].request_id] = result
        if self._buffer.rows >= COMMIT_ROWS:
            self._commit()

    def _commit(self) -> None:
        requests, self._buffer = self._buffer.requests, Buffer()
        if not requests:
            return
        for appended in self._store.append(make_batches(requests)):
            result = self._result_of[appended.request_id]
            result.rows_added += appended.rows_added
            result.rows_revised += appended.rows_revised
        for request in requests:
            self._result_of[request.request_id].rows_rejected += request.ledger_row()["rows_rejected"]
        with self._store.reading() as session:
            identifiers = [request.request_id for request in requests]
            for request_id, candles in session.run("queries/unapplied_revisions", requests=identifiers):
                self._result_of[request_id].rows_differing += candles


def _order(path: Path) -> tuple[str, str]:
    """Archive files of a symbol in time order, whatever the order in which they were named."""
    return ("", path.name) if ArchiveFile.of_name(path.name) is None else (path.name.partition("-")[0], path.name)


def _read_file(path: Path, symbol: str | None, columns: Mapping[str, str]) -> list[Page]:
    if path.suffix.lower() == ".zip":
        return _read_zip(path, symbol)
    body = path.read_bytes()
    if path.suffix.lower() == ".csv" and not columns and _is_archive_csv(body):
        return [_import_csv(path, symbol, body, open_plain(body))]
    found = list(read_foreign(path.name, body, symbol, columns))
    return [_to_import(path, name, klines, body) for name, klines in found]


def _is_archive_csv(body: bytes) -> bool:
    """Whether the first line is a row of the archive, or a header for its columns."""
    line = body[:4096].partition(b"\n")[0]
    return line[:1].isdigit() or (line.count(b",") == _ARCHIVE_COLUMNS - 1 and line.startswith(b"open_time"))


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


def _import_csv(path: Path, symbol: str | None, body: bytes, opener: Opener) -> Page:
    file = ArchiveFile.of_name(path.name)
    name = symbol or (file.symbol if file else None)
    if name is None:
        raise UsageError(f"{path.name} names no symbol. Say which: threadx import {path.name} --symbol BTCUSDC")
    return _to_import(path, name, read_kline_csv(name, opener, path.name), body)


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
        requested_at=now.replace(microsecond=0),
        seconds=0.0,
    )
