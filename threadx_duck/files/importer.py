"""Imports files on disk: zips and CSV of the archive, tables of other programs, and other stores."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

import orjson
import pyarrow as pa

from threadx_duck.archive.names import ArchiveFile
from threadx_duck.candles.klines import VALUE_FIELDS, Klines, split_klines
from threadx_duck.config import StoreSettings
from threadx_duck.disk.posix import hash_file
from threadx_duck.errors import StoreError, ThreadxDuckError, UsageError
from threadx_duck.files.objections import require_unshifted, without_absent
from threadx_duck.files.pages import KINDS, read_pages, require_candles, to_import
from threadx_duck.foreign.csv_files import first_line
from threadx_duck.foreign.names import require_spot, spot_symbol
from threadx_duck.ledger.append import append_to_store
from threadx_duck.ledger.page import Page
from threadx_duck.ledger.requests import COMMIT_ROWS, Buffer, make_batches
from threadx_duck.storage.store import Store
from threadx_duck.texts.symbols import normalise

logger = logging.getLogger("threadx_duck.ingest")


@dataclass
class ImportResult:
    """The result of one file; ``source`` is ``archive_monthly`` or ``archive_daily`` for a verified archive zip.

    ``rows_differing`` is the number of candles that differ from the exchange's, ``rows_absent`` the number of
    candles in minutes that the exchange is known to lack. Neither are stored; the former are listed in
    ``revisions``. ``notes`` tell the user how the file was read.
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
    notes: list[str] = field(default_factory=list)
    error: str | None = None


class Importer:
    """Reads files one by one and commits them in large batches, with the hash and name of each file as evidence."""

    def __init__(self, store: Store, settings: StoreSettings) -> None:
        self._store = store
        self._settings = settings
        self._buffer = Buffer()
        self._result_of: dict[int, ImportResult] = {}

    def run(
        self, paths: Sequence[Path], symbol: str | None, columns: Mapping[str, str] | None = None
    ) -> dict[str, ImportResult]:
        """Imports files and returns the result of each by path.

        ``symbol`` is the symbol of every file with only one; ``columns`` maps our column names to those of the files.
        A bad file does not stop the others. Raises `UsageError` for text that cannot be a symbol.
        """
        given = require_spot(normalise(symbol), "--symbol") if symbol is not None else None
        results = {str(path): ImportResult(str(path)) for path in paths}
        for path in sorted(dict.fromkeys(paths), key=_order):
            self._import(path, given, columns or {}, results[str(path)])
        self._commit()
        return results

    def _import(self, path: Path, given: str | None, columns: Mapping[str, str], result: ImportResult) -> None:
        """Reads and examines one file, and buffers its pages. Any error affects this file only."""
        try:
            for pages in self._read(path, given, columns, result):
                # The whole file is examined before any of it is buffered.
                for page in [self._examined(page, result) for page in pages]:
                    self._add(page, result)
        except ThreadxDuckError as error:
            _fail(result, str(error))
        except OSError as error:
            _fail(result, f"Cannot read {path}: {error.strerror or error}.")
        except Exception as error:
            # A file of an unforeseen kind must not prevent the import of the others.
            logger.debug("%s", path.name, exc_info=True)
            _fail(result, f"{path.name} could not be read ({type(error).__name__}: {first_line(error)}).")

    def _read(
        self, path: Path, given: str | None, columns: Mapping[str, str], result: ImportResult
    ) -> Iterator[list[Page]]:
        """Yields all pages of one file at once, of a store one year at a time.

        Raises `UsageError` or `BadResponseError`.
        """
        if not path.name.lower().endswith(KINDS):
            shown = path.name if path.name.strip() else f"'{path}'"
            raise UsageError(f"{shown} is of no kind that can be imported. The kinds are {', '.join(KINDS)}.")
        if path.suffix.lower() == ".duckdb":
            if given or columns:
                raise UsageError(f"{path.name} names its symbols and columns itself; leave --symbol and --map out.")
            for page in self._read_store(path, result):
                yield [page]
            return
        read = read_pages(path, given, columns)
        result.notes += read.notes
        yield read.pages

    def _read_store(self, path: Path, result: ImportResult) -> Iterator[Page]:
        """Yields the candles of another store. Their source there is not kept: here they are an import."""
        if self._store.lies_at(path):
            raise UsageError(f"{path} is the store itself.")
        sha256 = hash_file(path)
        with Store(replace(self._settings, database=path.absolute())).reading() as session:
            for symbol, first, last in session.run("read/symbol_spans"):
                for year in range(first.year, last.year + 1):
                    span = {"start": datetime(year, 1, 1), "end": datetime(year + 1, 1, 1)}
                    candles = session.query("read/candles_1m", symbol=symbol, **span)
                    if not candles.num_rows:
                        continue
                    wanted, klines = _of_store(path, symbol, candles)
                    result.notes += require_candles(path.name, [klines])
                    page = to_import(path, wanted, klines, b"")
                    yield replace(page, bodies=(), sha256=sha256)

    def _examined(self, page: Page, result: ImportResult) -> Page:
        """Returns the page without the candles that the exchange is known to lack.

        Raises `BadResponseError` for shifted times.
        """
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
        try:
            stored = append_to_store(self._store, make_batches(requests))
        except StoreError as error:
            for request in requests:
                _fail(self._result_of[request.request_id], str(error))
            return
        for appended in stored:
            result = self._result_of[appended.request_id]
            result.rows_added += appended.rows_added
            result.rows_revised += appended.rows_revised
        for request in requests:
            self._result_of[request.request_id].rows_rejected += request.ledger_row()["rows_rejected"]
        with self._store.reading() as session:
            identifiers = [request.request_id for request in requests]
            for request_id, candles in session.run("importer/unapplied_revisions", requests=identifiers):
                self._result_of[request_id].rows_differing += candles


def _order(path: Path) -> tuple[str, str]:
    """Sort key: puts archive files of a symbol into time order, in whatever order they were given."""
    return ("", path.name) if ArchiveFile.of_name(path.name) is None else (path.name.partition("-")[0], path.name)


def _fail(result: ImportResult, error: str) -> None:
    result.status, result.error = "failed", error
    logger.warning("%s: %s", Path(result.file).name, error)


def _of_store(path: Path, symbol: str, candles: pa.Table) -> tuple[str, Klines]:
    """Returns a store's candles with the exchange's spelling of the symbol; older versions stored the file's.

    The rules of any other file apply to them, whatever program wrote them.
    """
    wanted = spot_symbol(path.name, symbol)
    columns = candles.select(["open_time", *(field.name for field in VALUE_FIELDS)])
    columns = columns.set_column(0, "open_time", columns["open_time"].cast(pa.int64()))
    return wanted, split_klines(
        wanted,
        columns,
        lambda found: [orjson.dumps(row, default=str).decode() for row in candles.take(found).to_pylist()],
        unit_told=True,
    )
