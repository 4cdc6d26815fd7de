"""Examines the store, the machine and the connection to the exchange. Changes nothing."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from threadx_duck.audit.checks import run_checks
from threadx_duck.candles.times import format_time, utc_now
from threadx_duck.config import ApiSettings, Settings
from threadx_duck.config.address import is_remote
from threadx_duck.disk.posix import resolved
from threadx_duck.disk.temporaries import leftovers, leftovers_below
from threadx_duck.errors import SEE_DOCTOR, DownloadError, StoreLockedError, ThreadxDuckError
from threadx_duck.exchange.http import HttpClient
from threadx_duck.exchange.rest import RestSource
from threadx_duck.storage import schema
from threadx_duck.storage.backend import Kind
from threadx_duck.storage.store import Store
from threadx_duck.texts.urls import without_user
from threadx_duck.upkeep.losses import find_lost, find_unlisted
from threadx_duck.upkeep.publish import newest_copy

State = Literal["ok", "note", "problem"]

# Freed blocks below these limits are not worth a compaction.
_WASTED_SHARE = 0.2
_WASTED_BYTES = 16_000_000
# Beyond these limits a lake answers more slowly than it could.
_MANY_FILES = 1_000
_SMALL_BYTES = 200_000
_MANY_ROWS = 1_000_000
_LEAST_FREE_BYTES = 1_000_000_000
_CLOCK_SECONDS = 5.0
_PATIENCE_SECONDS = 10.0
_MOST_BYTES = 4 << 20


@dataclass(frozen=True)
class Finding:
    """The result of one examination, and the command or setting that helps, if there is one."""

    topic: str
    state: State
    text: str
    advice: str = ""


def examine(settings: Settings) -> Iterator[Finding]:
    """Yields one finding after the other. An error that can be reported as a finding is not raised."""
    yield Finding("versions", "ok", f"threadx_duck {version('threadx_duck')}, duckdb {version('duckdb')}")
    store = Store(replace(settings.store, lock_timeout_seconds=0.0))
    for topic, part in _PARTS[store.kind].items():
        try:
            yield from part(store, settings)
        except StoreLockedError as error:
            yield Finding(topic, "note", str(error), "Run it again when that process is done.")
        except ThreadxDuckError as error:
            yield Finding(topic, "problem", str(error))
    yield from _disk(store)
    api = replace(settings.api, max_retries=0, timeout_seconds=min(settings.api.timeout_seconds, _PATIENCE_SECONDS))
    yield _exchange(api)
    if settings.archive.enabled:
        yield _archive(api, settings.archive.base_url)


def _store(store: Store, settings: Settings) -> list[Finding]:
    if not store.exists:
        return [Finding("store", "note", f"There is no store at {store.name}.", "threadx ingest SYMBOL")]
    return _describe_file(store, settings) if store.kind == "file" else _describe_lake(store, settings)


def _describe_file(store: Store, settings: Settings) -> list[Finding]:
    with store.reading() as session:
        block, total, free, storage = session.run("store/file_state")[0]
        info = session.info()
    size = store.path.stat().st_size
    market = settings.store.market if info is None else info.market
    found = [Finding("store", "ok", f"{store.path}: {_megabytes(size)}, {market}, DuckDB storage {storage}.")]
    if info is not None and info.published_at is not None:
        text = f"This is a read copy of {info.published_from}, taken {format_time(info.published_at)}."
        found.append(Finding("store", "note", text))
    if info is not None and info.schema_version < schema.SCHEMA_VERSION:
        text = f"An earlier threadx_duck wrote it (schema {info.schema_version}, here {schema.SCHEMA_VERSION})."
        is_copy = info.published_from is not None
        found.append(Finding("store", "note", text, "threadx publish" if is_copy else "The next ingest upgrades it."))
    wasted = free * block
    is_much = free > _WASTED_SHARE * total and wasted > _WASTED_BYTES
    share = f"{100 * free / max(total, 1):.0f} %"
    text = f"{_megabytes(wasted)} of it ({share}) are freed blocks, used again by the next commits."
    return [*found, Finding("space", "note" if is_much else "ok", text, "threadx compact" if is_much else "")]


def _describe_lake(store: Store, settings: Settings) -> list[Finding]:
    with store.reading() as session:
        info = session.info()
        version, files, rows = session.run("lake/state")[0]
    size, market = store.bytes, settings.store.market if info is None else info.market
    text = f"{store.name}: {_megabytes(size)} under {store.lake.data_path()}, {market}, DuckLake {version}."
    is_much = (files > _MANY_FILES and size < files * _SMALL_BYTES) or rows > _MANY_ROWS
    space = f"{files:,} files, {_megabytes(size // max(files, 1))} each; {rows:,} rows in the catalog."
    return [
        Finding("store", "ok", text),
        Finding("space", "note" if is_much else "ok", space, "threadx compact" if is_much else ""),
    ]


def _lake_files(store: Store, _: Settings) -> list[Finding]:
    """Reports whether the lake's data path holds the files that its catalog lists, and no others."""
    try:
        path = store.lake.data_path()
    except ThreadxDuckError:
        # An earlier finding reports this error.
        return []
    if not is_remote(path) and not Path(path).is_dir():
        text = f"There is no folder {path}, where the lake keeps its files."
        return [Finding("files", "problem", text, "Mount it under the same name on every machine.")]
    lost, unlisted = find_lost(store), find_unlisted(store)
    found = []
    if lost:
        advice = "Put them back, or have their minutes asked again: threadx compact --give-up-lost"
        found.append(Finding("files", "problem", f"Lost: {', '.join(map(str, lost))}.", advice))
    own = [file for file in unlisted if file.is_own]
    if own:
        text = (
            f"{len(own):,} files ({_megabytes(sum(file.bytes for file in own))}) of commits that failed, or still run."
        )
        found.append(Finding("files", "note", text, "threadx compact deletes those that are older than a day."))
    foreign = [file.path for file in unlisted if not file.is_own]
    if foreign:
        text = f"Not the lake's, but below its data path: {', '.join(foreign)}."
        advice = "Move them away: as long as they are there, compact does not delete what failed commits have left."
        found.append(Finding("files", "note", text, advice))
    return found or [Finding("files", "ok", f"All files of the lake are under {path}, and no others.")]


def _holder(store: Store, _: Settings) -> list[Finding]:
    who = store.file.holder() if store.exists else None
    if who is None:
        return [Finding("access", "ok", "No other process has the store open.")]
    advice = "Let readers use a read copy: threadx publish PATH, or [data.store] read_copy."
    return [Finding("access", "note", f"{who} has the store open; an ingest waits for it.", advice)]


def _log(store: Store, _: Settings) -> list[Finding]:
    if not store.file.log.exists():
        return []
    text = (
        f"{store.file.log} holds commits that are not in the file yet: a process was killed, or is writing. "
        "Never delete it."
    )
    return [Finding("log", "note", text, "The next ingest writes them into the file.")]


def _checks(store: Store, _: Settings) -> list[Finding]:
    if not store.exists:
        return []
    findings = run_checks(store)
    bad = [f"{finding.name}: {finding.rows.num_rows:,} rows" for finding in findings if finding.rows.num_rows]
    if bad:
        return [Finding("checks", "problem", "; ".join(bad) + ".", "threadx check")]
    return [Finding("checks", "ok", f"All {len(findings)} checks find nothing.")]


def _leftovers(store: Store, settings: Settings) -> list[Finding]:
    folders = {settings.data.base_data_path, Path.cwd(), *store.folders()}
    if settings.store.read_copy:
        folders.add(resolved(Path(settings.store.read_copy)).parent)
    below = {settings.data.processed_data_path, settings.data.raw_data_path}
    found = sorted(
        {str(path) for folder in folders for path in leftovers(resolved(folder))}
        | {str(path) for folder in below for path in leftovers_below(resolved(folder))}
    )
    if not found:
        return []
    text = f"Left by killed processes: {', '.join(found)}."
    return [Finding("leftovers", "note", text, "The next command that writes there removes them.")]


def _read_copy(_: Store, settings: Settings) -> list[Finding]:
    if not settings.store.read_copy:
        return []
    path = newest_copy(resolved(Path(settings.store.read_copy)))
    if not path.exists():
        return [Finding("read copy", "note", f"There is no read copy at {path} yet.", "threadx publish")]
    info = Store(replace(settings.store, database=path, lock_timeout_seconds=0.0)).info()
    if info is None or info.published_at is None:
        return [Finding("read copy", "problem", f"{path} is no read copy.", "Name another: [data.store] read_copy.")]
    return [Finding("read copy", "ok", f"{path} was taken {format_time(info.published_at)}.")]


_PARTS: dict[Kind, dict[str, Callable[[Store, Settings], list[Finding]]]] = {
    "file": {
        "store": _store,
        "access": _holder,
        "log": _log,
        "checks": _checks,
        "leftovers": _leftovers,
        "read copy": _read_copy,
    },
    "lake": {"store": _store, "files": _lake_files, "checks": _checks, "leftovers": _leftovers},
}
_ROOM: dict[Kind, str] = {
    "file": "compact, publish and backup need as much as the store.",
    "lake": "compact writes files anew before the old ones go.",
}


def _disk(store: Store) -> list[Finding]:
    try:
        place, size = store.room()
    except ThreadxDuckError:
        # An earlier finding reports this error.
        return []
    if place is None:
        return []
    folder = next(parent for parent in (place, *place.parents) if parent.is_dir())
    free = shutil.disk_usage(folder).free
    text = f"{_megabytes(free)} free in {folder}."
    if free < max(_LEAST_FREE_BYTES, 2 * size):
        return [Finding("disk", "problem", text, f"Make room: {_ROOM[store.kind]}")]
    return [Finding("disk", "ok", text)]


def _exchange(api: ApiSettings) -> Finding:
    source = RestSource(api, threading.Event())
    try:
        ahead = (utc_now() - source.server_time()).total_seconds()
    except DownloadError as error:
        return Finding(
            "exchange", "problem", str(error).removesuffix(SEE_DOCTOR), "See [data.api] base_url, proxy and ca_bundle."
        )
    finally:
        source.close()
    side = "ahead" if ahead >= 0 else "behind"
    text = f"{without_user(api.base_url)} answers; this machine's clock is {abs(ahead):.1f} s {side}."
    if abs(ahead) > _CLOCK_SECONDS:
        advice = "Set this machine's clock. Candles are judged by the exchange's, so none is wrong."
        return Finding("exchange", "note", text, advice)
    return Finding("exchange", "ok", text)


def _archive(api: ApiSettings, url: str) -> Finding:
    client = HttpClient(api, threading.Event(), connections=1)
    try:
        status = client.get(f"{url.rstrip('/')}/", lambda answer: answer.status, most_bytes=_MOST_BYTES)
    except DownloadError as error:
        advice = "Without it: threadx ingest --source rest, or [data.archive] enabled = false."
        return Finding("archive", "problem", str(error).removesuffix(SEE_DOCTOR), advice)
    finally:
        client.close()
    if status in {403, 451} or status >= 500:
        return Finding("archive", "problem", f"{without_user(url)} answers {status}.", "threadx ingest --source rest")
    return Finding("archive", "ok", f"{without_user(url)} answers.")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
