"""Fetches the monthly and daily files of the exchange's bulk archive, and verifies their checksums and rows."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

import pyarrow.compute as pc

from threadx_duck.archive.kept import KeptFile, KeptFiles, read_checksum
from threadx_duck.archive.listing import NotListed, find_files
from threadx_duck.archive.names import CHECKSUM_SUFFIX, ArchiveFile
from threadx_duck.archive.rows import read_kline_csv
from threadx_duck.archive.unzip import open_zip
from threadx_duck.candles.klines import Klines, in_time_order, require_mostly_candles
from threadx_duck.candles.times import format_time
from threadx_duck.config import Settings
from threadx_duck.errors import (
    BadResponseError,
    ConnectionFailedError,
    DownloadError,
    HostRefusedError,
    ServerFailedError,
)
from threadx_duck.exchange.http import Answer, HttpClient
from threadx_duck.exchange.statuses import refuse_redirect
from threadx_duck.exchange.waits import Waits
from threadx_duck.ledger.page import Page
from threadx_duck.texts.urls import without_user

logger = logging.getLogger("threadx_duck.sources")

# How many requests are in flight at once, for all symbols together. Each file takes two: the zip and its checksum.
REQUESTS_IN_FLIGHT = 16
_PARSERS = min(4, os.cpu_count() or 1)

_MOST_ZIP_BYTES = 32 << 20
_MOST_CHECKSUM_BYTES = 4096
# A monthly file has two megabytes, a REST page a tenth of a megabyte.
_PATIENCE = 4.0

# After this many files in a row without any answer, the archive counts as unreachable for the rest of the run.
_FAILURES_IN_A_ROW = 3


@dataclass(frozen=True)
class FileAnswer:
    """The result of fetching a file.

    ``page`` holds all candles of the file; it is conclusive for the file's period only if it has a candle for each
    minute. ``page`` is None if the file does not exist, or if it cannot be used for the reason in ``error``.
    ``requests`` is the number of the host's answers; ``notes`` holds messages for the user.
    """

    file: ArchiveFile
    page: Page | None
    requests: int
    error: DownloadError | None = None
    notes: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether the file holds a candle for every minute of its period."""
        return self.page is not None and self.page.range_start < self.page.range_end


@dataclass(frozen=True)
class _Verified:
    """A zip that matches its checksum."""

    body: bytes
    sha256: str
    moment: datetime
    requests: int
    notes: tuple[str, ...] = ()


class _UnusableError(BadResponseError):
    """A file that cannot be trusted; ``requests`` is the number of answers that were received for it."""

    retryable = False

    def __init__(self, message: str, requests: int) -> None:
        super().__init__(message)
        self.requests = requests


class ArchiveSource:
    """Fetches files for all threads of a run. Some threads wait for answers, others parse them."""

    def __init__(self, settings: Settings, stop: threading.Event, waits: Waits | None = None) -> None:
        self._root = settings.archive.base_url.rstrip("/")
        self._stop = stop
        self._kept = KeptFiles(settings.data.raw_data_path) if settings.archive.keep_files else None
        self._client = HttpClient(settings.api, stop, connections=REQUESTS_IN_FLIGHT, waits=waits)
        self._network = ThreadPoolExecutor(REQUESTS_IN_FLIGHT, thread_name_prefix="archive")
        self._parsers = ThreadPoolExecutor(_PARSERS, thread_name_prefix="parse")
        self._failures = 0
        self._last_failure = ""
        self._lock = threading.Lock()

    def close(self) -> None:
        """Ends the threads and closes the connections."""
        self._network.shutdown(wait=True, cancel_futures=True)
        self._parsers.shutdown(wait=True, cancel_futures=True)
        self._client.close()

    def server_time(self) -> datetime:
        """Returns the time of the archive's host, in whole seconds, naive UTC. Raises `DownloadError`."""
        return self._client.get(
            self._root + "/", lambda answer: answer.moment, most_bytes=_MOST_ZIP_BYTES, patience=_PATIENCE
        )

    def find_files(self, symbol: str) -> NotListed:
        """Returns which files of a symbol the archive has, from its bucket's listing. Raises `DownloadError`."""

        def ask(url: str) -> bytes:
            return self._client.get(url, _listing, most_bytes=_MOST_ZIP_BYTES, patience=_PATIENCE)

        return find_files(ask, self._root, symbol)

    def kept(self, symbol: str) -> frozenset[ArchiveFile]:
        """Returns the files of a symbol that are kept on this machine."""
        return self._kept.list(symbol) if self._kept else frozenset()

    def fetch(self, file: ArchiveFile, *, recheck: bool = False) -> Future[FileAnswer]:
        """Starts to fetch a file. A kept file is read instead; ``recheck`` fetches its checksum again first."""
        # The checksum is submitted first, so that a thread that waits for it never waits for a free thread.
        kept = self._kept.read(file) if self._kept else None
        checksum: Future[Answer | None] | None = None
        if kept is None or recheck:
            checksum = self._network.submit(self._get, file, CHECKSUM_SUFFIX)
        return self._network.submit(self._fetch, file, kept, checksum)

    def _fetch(self, file: ArchiveFile, kept: KeptFile | None, checksum: Future[Answer | None] | None) -> FileAnswer:
        began = time.monotonic()
        if self._stop.is_set():
            raise DownloadError("The run was stopped.")
        try:
            verified = self._verify(file, kept, checksum)
            if verified is None:
                return FileAnswer(file, None, requests=2)
            page = self._parsers.submit(self._read, file, verified, began).result()
        except _UnusableError as error:
            logger.warning("%s", error)
            return FileAnswer(file, None, error.requests, error, (str(error),))
        except DownloadError as error:
            if self._stop.is_set():
                raise
            return FileAnswer(file, None, 0, error, self._note_of(error))
        return FileAnswer(file, page, verified.requests, notes=verified.notes)

    def _verify(
        self, file: ArchiveFile, kept: KeptFile | None, checksum: Future[Answer | None] | None
    ) -> _Verified | None:
        """Returns the zip, verified by its checksum; None if it does not exist. After a mismatch, fetches both again.

        Raises `_UnusableError` after a second mismatch.
        """
        if kept is not None:
            if checksum is None:
                return _Verified(kept.body, kept.sha256, kept.kept_at, 0)
            if _sha256_of(checksum.result()) == kept.sha256:
                return _Verified(kept.body, kept.sha256, kept.kept_at, 1)
        zipped = self._get(file, "")
        if zipped is None or checksum is None:
            return None
        answer = checksum.result()
        for requests in (2, 4):
            sha256 = hashlib.sha256(zipped.body).hexdigest()
            if sha256 == _sha256_of(answer):
                if self._kept:
                    self._kept.keep(file, zipped.body, sha256, zipped.moment)
                notes = (f"{file.name} did not match its checksum; fetched again, it did.",) if requests > 2 else ()
                return _Verified(zipped.body, sha256, zipped.moment, requests, notes)
            if requests == 2:
                logger.warning("%s does not match its checksum; both are fetched again", file.name)
                zipped, answer = self._get(file, "") or zipped, self._get(file, CHECKSUM_SUFFIX)
        what = "has no checksum" if answer is None else "does not match its checksum, twice"
        raise _UnusableError(f"{file.name} {what}; it was not used.", 4)

    def _read(self, file: ArchiveFile, verified: _Verified, began: float) -> Page:
        """Returns the file's page. Runs on a thread for parsing. Raises `_UnusableError` for bad content."""
        try:
            klines = read_archive_file(file, verified.body)
        except BadResponseError as error:
            raise _UnusableError(f"{error} It was not used.", verified.requests) from error
        url = without_user(self._url(file, ""))
        return to_page(file, klines, verified.sha256, url, verified.moment, time.monotonic() - began)

    def _get(self, file: ArchiveFile, suffix: str) -> Answer | None:
        """Fetches one file of the host; returns None if it does not exist. Raises `DownloadError`."""
        if self._failures >= _FAILURES_IN_A_ROW:
            host = urlsplit(without_user(self._root)).netloc
            raise ConnectionFailedError(f"The archive at {host} cannot be reached: {self._last_failure}")
        try:
            answer = self._client.get(
                self._url(file, suffix),
                _existing,
                most_bytes=_MOST_CHECKSUM_BYTES if suffix else _MOST_ZIP_BYTES,
                patience=_PATIENCE,
            )
        except DownloadError as error:
            with self._lock:
                self._failures += not isinstance(error, BadResponseError)
                self._last_failure = str(error)
            raise
        with self._lock:
            self._failures = 0
        return answer

    def _note_of(self, error: DownloadError) -> tuple[str, ...]:
        """Returns the note on a failure; an empty tuple once the archive counts as unreachable."""
        logger.warning("%s", error)
        return (str(error),) if self._failures < _FAILURES_IN_A_ROW else ()

    def _url(self, file: ArchiveFile, suffix: str) -> str:
        return f"{self._root}/{file.key}{suffix}"


def read_archive_file(file: ArchiveFile, body: bytes) -> Klines:
    """Returns the candles of a zip. Raises `BadResponseError` if they are not candles of the file's period."""
    klines = read_kline_csv(file.symbol, open_zip(body, file.name), file.name)
    require_mostly_candles(klines, file.name)
    klines = klines._replace(candles=in_time_order(klines.candles, file.name))
    start, end = file.period
    for times in (klines.candles["open_time"], klines.rejected["minute"].drop_null()):
        if len(times) and not start <= pc.min(times).as_py() <= pc.max(times).as_py() < end:
            raise BadResponseError(
                f"{file.name} holds candles outside {format_time(start)} to {format_time(end)}; nothing was stored."
            )
    return klines


def to_page(file: ArchiveFile, klines: Klines, sha256: str, url: str, moment: datetime, seconds: float) -> Page:
    """Returns a page of all candles of a file: conclusive for its period if every minute has one, else for nothing."""
    start, end = file.period
    is_complete = klines.candles.num_rows == file.period.minutes
    return Page(
        symbol=file.symbol,
        timeframe="1m",
        source=file.source,
        range_start=start,
        range_end=end if is_complete else start,
        candles=klines.candles,
        rejected=klines.rejected,
        url=url,
        bodies=(),
        sha256=sha256,
        requested_at=moment,
        seconds=seconds,
    )


def _existing(answer: Answer) -> Answer | None:
    """Returns the answer; None if the file does not exist: status 404, or 403, which the archive sent until 2021."""
    host, status = urlsplit(answer.url).netloc, answer.status
    if status == 200:
        return answer
    if status in (403, 404):
        return None
    refuse_redirect(answer, "[data.archive] base_url")
    if status == 429 or status >= 500:
        raise ServerFailedError(f"{host} failed to answer: {status}.")
    if status == 451:
        raise HostRefusedError(f"{host} does not serve your location (451).")
    raise DownloadError(f"{host} answered {status} for {urlsplit(answer.url).path}.")


def _listing(answer: Answer) -> bytes:
    found = _existing(answer)
    if found is None:
        raise DownloadError(f"{urlsplit(answer.url).netloc} lists no files ({answer.status}).")
    return found.body


def _sha256_of(checksum: Answer | None) -> str | None:
    return read_checksum(checksum.body) if checksum is not None else None
