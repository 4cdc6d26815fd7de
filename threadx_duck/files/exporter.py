"""Writes candles to a folder in formats that other programs read; a second export rewrites only what changed.

The folder's file ``threadx-export.json`` stores for each exported file the fingerprint of the 1-minute candles from
which it was made. A file is not written again while it exists and these candles are the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from threadx_duck.audit.fingerprints import MonthFingerprint, compute_fingerprint, month_range
from threadx_duck.candles.ranges import TimeRange, month_of
from threadx_duck.candles.timeframes import ONE_MINUTE, Timeframe
from threadx_duck.candles.times import MINUTE
from threadx_duck.disk.posix import replace_file
from threadx_duck.disk.temporaries import temporary_beside
from threadx_duck.disk.whole_files import require_replaceable, write_whole
from threadx_duck.errors import StoreError, UsageError
from threadx_duck.files.formats import WRITERS, Format, file_name, freqtrade_name
from threadx_duck.storage.store import Store

MANIFEST = "threadx-export.json"

# Part of every fingerprint, so that files written by other rules are written again.
_RULES = 1

_DAY_MINUTES = 1_440


class ExportedFile(NamedTuple):
    """One file of an export: its path below the folder, and what the export did with it."""

    path: str
    symbol: str
    timeframe: str
    candles: int
    status: Literal["written", "unchanged", "removed"]


@dataclass(frozen=True)
class ExportRequest:
    """What to export: the candles of ``symbols`` that open in ``[start, end)``; no symbols means all.

    ``partition`` writes hive folders. ``assets`` maps symbols to their base and quote assets, as far as known.
    """

    form: Format = "parquet"
    symbols: Sequence[str] = ()
    timeframes: Sequence[Timeframe] = (ONE_MINUTE,)
    start: datetime | None = None
    end: datetime | None = None
    partition: bool = False
    assets: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def is_monthly(self) -> bool:
        """Whether each month is a file of its own."""
        return self.partition or self.form == "archive"


class _Planned(NamedTuple):
    """A file to write unless it is up to date; ``source`` is the fingerprint of the minutes that it is made from."""

    path: str
    symbol: str
    timeframe: Timeframe
    span: TimeRange
    source: str


class Exporter:
    """Exports from one store to one folder."""

    def __init__(self, store: Store, folder: Path, request: ExportRequest) -> None:
        self._store = store
        self._folder = folder
        self._request = request
        self._manifest = _read_manifest(folder)

    def run(self) -> list[ExportedFile]:
        """Writes the files that changed and removes those that no longer apply. Raises `UsageError`, `StoreError`.

        Each file is replaced in one step. If an export is interrupted, the next one completes it.
        """
        symbols = list(dict.fromkeys(self._request.symbols)) or self._stored()
        done: list[ExportedFile] = []
        try:
            for symbol in symbols:
                for timeframe in self._request.timeframes:
                    for planned in self._plan(symbol, timeframe):
                        self._require_own(planned, done)
                        done.append(self._export(planned))
            done += self._remove_outdated(symbols, {file.path for file in done})
        except pa.ArrowInvalid as error:
            raise UsageError(f"Cannot write {symbol} {timeframe.label} as {self._request.form}: {error}") from error
        except OSError as error:
            raise UsageError(f"Cannot write to {self._folder}: {error.strerror or error}.") from error
        finally:
            self._keep_manifest()
        return done

    def _require_own(self, planned: _Planned, done: Sequence[ExportedFile]) -> None:
        """Raises `UsageError` if another symbol has the same file, because the exchange gives both the same assets."""
        for file in done:
            if file.path == planned.path:
                raise UsageError(
                    f"{file.symbol} and {planned.symbol} would both be written to {planned.path}: the exchange says "
                    "that they are of the same assets. Export them to two folders, with --symbols."
                )

    def _stored(self) -> list[str]:
        with self._store.reading() as session:
            return [row[0] for row in session.run("read/symbol_spans")]

    def _plan(self, symbol: str, timeframe: Timeframe) -> Iterator[_Planned]:
        start, end = self._request.start, self._request.end
        # A candle that opens before the end also contains minutes after it.
        until = None if end is None else end + timeframe.step - MINUTE
        months = compute_fingerprint(self._store, [symbol], start, until).months
        if not self._request.is_monthly:
            if months:
                span = TimeRange.of(start, end)
                yield _Planned(self._path(symbol, timeframe), symbol, timeframe, span, self._source(timeframe, months))
            return
        for number, month in enumerate(months):
            span = month_range(month.month)
            span = TimeRange(max(span.start, start or span.start), min(span.end, end or span.end))
            if span.start < span.end:
                behind = months[number + 1 : number + 2] if _crosses_months(timeframe) else ()
                source = self._source(timeframe, (month, *behind))
                yield _Planned(self._path(symbol, timeframe, span.start), symbol, timeframe, span, source)

    def _source(self, timeframe: Timeframe, months: Sequence[MonthFingerprint]) -> str:
        lines = [f"{_RULES} {self._kind} {timeframe.label}", *(f"{m.month} {m.candles} {m.sha256}" for m in months)]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    @property
    def _kind(self) -> str:
        return f"{self._request.form}{' partitioned' if self._request.partition else ''}"

    def _path(self, symbol: str, timeframe: Timeframe, month: datetime | None = None) -> str:
        form, label = self._request.form, timeframe.label
        if form == "freqtrade":
            return freqtrade_name(symbol, label, self._request.assets.get(symbol))
        if month is None:
            return file_name(symbol, label, f".{form}")
        if form == "archive":
            return file_name(symbol, label, f"-{month:%Y-%m}.csv")
        name = file_name(symbol, label, "").removesuffix(f"-{label}")
        return f"{label}/symbol={name}/year={month.year}/month={month.month}/candles.{form}"

    def _export(self, planned: _Planned) -> ExportedFile:
        target = self._folder / planned.path
        noted = self._manifest.get(planned.path, {})
        if noted.get("source") == planned.source and target.is_file() and target.stat().st_size == noted.get("bytes"):
            return ExportedFile(planned.path, planned.symbol, planned.timeframe.label, noted["candles"], "unchanged")
        target.parent.mkdir(parents=True, exist_ok=True)
        require_replaceable(target)
        with temporary_beside(target) as temporary:
            candles = WRITERS[self._request.form](temporary, self._tables(planned), planned.timeframe)
            size = temporary.stat().st_size
            replace_file(temporary, target)
        self._manifest[planned.path] = {
            "symbol": planned.symbol,
            "timeframe": planned.timeframe.label,
            "kind": self._kind,
            "candles": candles,
            "bytes": size,
            "source": planned.source,
        }
        return ExportedFile(planned.path, planned.symbol, planned.timeframe.label, candles, "written")

    def _tables(self, planned: _Planned) -> Iterator[pa.Table]:
        """Yields the candles of a file in time order, one table per year; at least one table."""
        name = "read/candles_1m" if planned.timeframe is ONE_MINUTE else "read/candles"
        width = {} if planned.timeframe is ONE_MINUTE else {"width": planned.timeframe.width}
        with self._store.reading() as session:
            first, last = session.run("read/symbol_span", symbol=planned.symbol)[0]
            if first is None:
                raise StoreError(f"{planned.symbol} was removed while it was exported.")
            first = max(planned.span.start, first - planned.timeframe.step)
            for year in range(first.year, min(planned.span.end - MINUTE, last).year + 1):
                start, end = max(first, datetime(year, 1, 1)), min(planned.span.end, datetime(year + 1, 1, 1))
                table = session.query(name, symbol=planned.symbol, start=start, end=end, **width)
                yield self._shaped(table, planned.timeframe, last + MINUTE)

    def _shaped(self, table: pa.Table, timeframe: Timeframe, stored_until: datetime) -> pa.Table:
        if self._request.form in {"archive", "freqtrade"}:
            # These formats have no is_complete: a candle that is still forming would look like a whole one.
            table = table.filter(pc.field("open_time") <= pa.scalar(_newest_whole(timeframe, stored_until)))
        return table.drop_columns("symbol") if self._request.partition else table

    def _remove_outdated(self, symbols: Sequence[str], made: set[str]) -> Iterator[ExportedFile]:
        """Removes files of earlier exports of this kind whose candles are no longer stored; yields what it removed."""
        if self._request.start is not None or self._request.end is not None:
            return
        labels = {timeframe.label for timeframe in self._request.timeframes}
        for path, noted in list(self._manifest.items()):
            is_like = noted["kind"] == self._kind and noted["timeframe"] in labels
            if is_like and path not in made and (noted["symbol"] in symbols or not self._request.symbols):
                (self._folder / path).unlink(missing_ok=True)
                del self._manifest[path]
                yield ExportedFile(path, noted["symbol"], noted["timeframe"], noted["candles"], "removed")

    def _keep_manifest(self) -> None:
        if not self._manifest:
            return
        options = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS
        try:
            write_whole(self._folder / MANIFEST, orjson.dumps({"files": self._manifest}, option=options) + b"\n")
        except OSError as error:
            raise UsageError(f"Cannot write to {self._folder}: {error.strerror or error}.") from error


def _read_manifest(folder: Path) -> dict[str, dict[str, Any]]:
    """Returns the entries of earlier exports; none if they are unreadable, so that everything is written again."""
    try:
        noted = orjson.loads((folder / MANIFEST).read_bytes())["files"]
        wanted = {"symbol", "timeframe", "kind", "candles", "bytes", "source"}
        return {path: entry for path, entry in noted.items() if wanted <= entry.keys() and _is_below(folder, path)}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _is_below(folder: Path, path: str) -> bool:
    return (folder / path).resolve().is_relative_to(folder.resolve())


def _crosses_months(timeframe: Timeframe) -> bool:
    """Whether a candle may open in one month and end in the next."""
    return timeframe.minutes is not None and _DAY_MINUTES % timeframe.minutes != 0


def _newest_whole(timeframe: Timeframe, until: datetime) -> datetime:
    """Returns the latest open time of a candle that is over at ``until``."""
    if timeframe.minutes is None:
        return month_of(until).start - MINUTE
    return until - timeframe.step
