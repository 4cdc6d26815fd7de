"""The bulk archive: a zipped CSV file per day and per month, published by the exchange's clock, with checksums."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from io import BytesIO
from threading import Lock
from typing import TYPE_CHECKING
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import pyarrow as pa
import pyarrow.compute as pc

from threadx_duck.errors import UsageError
from threadx_duck.simulator.archive_names import CHECKSUM, Kind, Name
from threadx_duck.simulator.market import complete_candles
from threadx_duck.simulator.rollup import to_us
from threadx_duck.simulator.rows import csv_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import timedelta

    from threadx_duck.simulator.clock import Clock
    from threadx_duck.simulator.market import Market, SymbolMarket
    from threadx_duck.simulator.rows import TimeUnit

_HEADER = (
    b"open_time,open,high,low,close,volume,close_time,quote_volume,count,"
    b"taker_buy_volume,taker_buy_quote_volume,ignore\n"
)
# Spot files give times in microseconds from this day on, in milliseconds before.
_MICROSECONDS_FROM = datetime(2025, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class ArchiveFile:
    """A file of the archive."""

    body: bytes
    modified: datetime

    @cached_property
    def etag(self) -> str:
        """Returns the MD5 in quotes, as S3 gives it."""
        return f'"{hashlib.md5(self.body, usedforsecurity=False).hexdigest()}"'


@dataclass(frozen=True)
class Edit:
    """The changes that make a file differ from the right one; see :meth:`Archive.edit`."""

    rows: Callable[[pa.Table], pa.Table] | None
    header: bool
    csv: Callable[[bytes], bytes] | None
    spoil: Callable[[bytes], bytes] | None
    checksum: Callable[[str], str] | None
    edited_at: datetime


@dataclass(frozen=True)
class _Built:
    """A built zip and its input. The archive builds the zip again when the input has changed."""

    source: SymbolMarket
    edit: Edit | None
    file: ArchiveFile
    sha256: str


class Archive:
    """The files made of a market. A file exists once the clock has passed its time of publication.

    The file of a day appears ``daily_published_after`` the end of that day, the file of a month on day
    ``monthly_published_day`` of the next month, at midnight UTC.
    """

    def __init__(
        self, market: Market, clock: Clock, *, daily_published_after: timedelta, monthly_published_day: int
    ) -> None:
        self.daily_published_after = daily_published_after
        self.monthly_published_day = monthly_published_day
        self._market, self._clock = market, clock
        self._edits: dict[Name, Edit] = {}
        self._put: dict[str, ArchiveFile | None] = {}
        self._built: dict[Name, _Built] = {}
        self._lock = Lock()

    def edit(
        self,
        kind: Kind,
        symbol: str,
        date: str,
        rows: Callable[[pa.Table], pa.Table] | None = None,
        *,
        interval: str = "1m",
        header: bool = False,
        csv: Callable[[bytes], bytes] | None = None,
        spoil: Callable[[bytes], bytes] | None = None,
        checksum: Callable[[str], str] | None = None,
    ) -> None:
        """Changes one file from now on; a second edit of the same file replaces the first.

        ``rows`` changes its candles (columns as in :class:`SymbolMarket`), ``header`` adds a first line of
        column names, ``csv`` changes the bytes of the member. The checksum agrees with these changes.
        ``spoil`` changes the zip so that the checksum is wrong; ``checksum`` changes the text of the checksum
        file. Raises `UsageError` if the archive names no file that way.
        """
        name = Name.of(Name(kind, symbol, interval, date).key)
        if name is None:
            message = f"No {kind} archive file is named for {symbol} {interval} {date}."
            raise UsageError(message)
        self._edits[name] = Edit(rows, header, csv, spoil, checksum, self._clock.now)

    def put(self, key: str, body: bytes) -> None:
        """Puts bytes under a key, published at once. A zip gets a checksum that agrees, unless you put that as well."""
        self._put[key] = ArchiveFile(body, self._clock.now)

    def remove(self, key: str) -> None:
        """Removes a file; removes the checksum together with a zip."""
        self._put[key] = None
        if not key.endswith(CHECKSUM):
            self._put[key + CHECKSUM] = None

    def get(self, key: str) -> ArchiveFile | None:
        """Returns the file that is under a key by now, or None."""
        if key in self._put:
            return self._put[key]
        if not key.endswith(CHECKSUM):
            built = self._build(Name.of(key))
            return built.file if built else None
        zipped = key.removesuffix(CHECKSUM)
        line = "{}  " + zipped.rpartition("/")[2] + "\n"
        given = self._put.get(zipped)
        if given is not None:
            digest = hashlib.sha256(given.body).hexdigest()
            return ArchiveFile(line.format(digest).encode(), given.modified)
        built = self._build(Name.of(zipped))
        if built is None:
            return None
        text = line.format(built.sha256)
        if built.edit and built.edit.checksum:
            text = built.edit.checksum(text)
        return ArchiveFile(text.encode(), built.file.modified)

    def prepare(self, kinds: Iterable[Kind] = ("daily", "monthly"), interval: str = "1m") -> None:
        """Builds the published files of one interval now, so that no later answer waits for that."""
        for kind in kinds:
            for symbol in list(self._market):
                for name in self.published(kind, symbol, interval):
                    self._build(name)

    def published(self, kind: Kind, symbol: str, interval: str) -> Iterator[Name]:
        """Yields the names of the files in one folder that are published by now, oldest first."""
        for stamp in self._dates(kind, symbol, interval):
            name = Name(kind, symbol, interval, stamp)
            if self._published_at(name) > self._clock.now:
                return
            if self._put.get(name.key, True):
                yield name

    def put_keys(self) -> list[str]:
        """Returns the keys that `put` has filled, and the keys of their checksums."""
        zips = [key for key, file in self._put.items() if file is not None]
        return [*zips, *(key + CHECKSUM for key in zips if not key.endswith(CHECKSUM))]

    def symbols(self) -> list[str]:
        """Returns every symbol of the market, whether or not it has files yet."""
        return list(self._market)

    def _dates(self, kind: Kind, symbol: str, interval: str) -> list[str]:
        """Returns the days or months for which the symbol has candles or an edited file, as text, oldest first."""
        days = pc.unique(pc.floor_temporal(self._candles(symbol, interval)["open_time"], unit="day")).to_pylist()
        length = 10 if kind == "daily" else 7
        stamps = {day.isoformat()[:length] for day in days}
        stamps |= {
            name.date
            for name in list(self._edits)
            if (name.kind, name.symbol, name.interval) == (kind, symbol, interval)
        }
        return sorted(stamps)

    def _published_at(self, name: Name) -> datetime:
        end = name.days[1]
        if name.kind == "daily":
            return end + self.daily_published_after
        return end.replace(day=self.monthly_published_day)

    def _candles(self, symbol: str, interval: str) -> pa.Table:
        return self._market.native(symbol, interval.replace("mo", "M"))

    def _build(self, name: Name | None) -> _Built | None:
        """Returns a file, built now or earlier; None if there is none by now."""
        if name is None or name.symbol not in self._market:
            return None
        published_at = self._published_at(name)
        if published_at > self._clock.now:
            return None
        source, edit = self._market[name.symbol], self._edits.get(name)
        with self._lock:
            known = self._built.get(name)
            if known is not None and known.source is source and known.edit is edit:
                return known
            content = self._content(name, edit)
            if content is None:
                return None
            modified = max(published_at, edit.edited_at) if edit else published_at
            zipped = _zip(f"{name.stem}.csv", content, published_at)
            if known is not None and known.source is not source:
                modified = self._clock.now
            body = edit.spoil(zipped) if edit and edit.spoil else zipped
            built = _Built(source, edit, ArchiveFile(body, modified), hashlib.sha256(zipped).hexdigest())
            self._built[name] = built
            return built

    def _content(self, name: Name, edit: Edit | None) -> bytes | None:
        """Returns the lines of a file; None if no candle opens in its days."""
        interval = name.interval.replace("mo", "M")
        first, last = map(to_us, name.days)
        candles = self._market[name.symbol].candles_between(interval, first, last)
        if edit is None and not candles.num_rows:
            return None
        if edit and edit.rows:
            candles = complete_candles(edit.rows(candles))
        unit: TimeUnit = "us" if name.days[0] >= _MICROSECONDS_FROM else "ms"
        batches = candles.combine_chunks().to_batches()
        content = csv_lines(batches[0], interval, unit) if batches else b""
        if edit is None:
            return content
        content = _HEADER + content if edit.header else content
        return edit.csv(content) if edit.csv else content


def _zip(member: str, content: bytes, written_at: datetime) -> bytes:
    info = ZipInfo(member, written_at.timetuple()[:6])
    info.compress_type = ZIP_DEFLATED
    buffer = BytesIO()
    with ZipFile(buffer, "w") as file:
        file.writestr(info, content, compresslevel=1)
    return buffer.getvalue()
