"""The lives of a soak: an exchange, a store, and one command after the other that writes to it or copies it."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tests.support.archive_helpers import with_value
from tests.support.soak_market import BEGIN, NOW, START, STOP, SYMBOLS, between, make_market
from tests.support.soak_model import Model, differing, digest_of, opened
from threadx_duck.simulator import LoopbackExchange

COMMANDS = ("ingest", "follow", "import", "verify", "remove", "compact", "publish", "backup", "migrate")
REMOVED = (datetime(2024, 2, 1), datetime(2024, 2, 3))
REVISED = (datetime(2024, 1, 30), datetime(2024, 1, 31))
IMPORTED = "XRPUSDC"
ARCHIVED_DAY = "2024-02-05"


_LOGS = {"logs", "data_ingestion.log", "symbols.json"}


@dataclass
class Step:
    """One command: what is run to its end, what is killed, and what is looked at besides the store.

    ``arguments`` are made anew for each process; ``after_kill`` and ``after_end`` return what is wrong.
    """

    command: str
    arguments: Callable[[], tuple[str, ...]]
    killed: Callable[[], tuple[str, ...]] | None = None
    begin: Callable[[], None] = lambda: None
    after_kill: Callable[[], list[str]] = list
    after_end: Callable[[str], list[str]] = lambda _: []


class Life:
    """A market that changes, its exchange, and a folder with a store; all random choices come from one seed."""

    def __init__(self, folder: Path, seed: str) -> None:
        self.folder = folder
        self.random = random.Random(seed)
        self._stack = ExitStack()
        folder.mkdir(parents=True)
        self.market = make_market()
        self.exchange = LoopbackExchange(self.market, now=NOW.replace(tzinfo=UTC), weight_limit=1_000_000)
        self._stack.enter_context(self.exchange)
        self.model = Model(folder / "threadx.duckdb")
        self._stack.callback(self.model.close)
        for symbol in SYMBOLS:
            self.model.tell(symbol, self.market[symbol].candles)
        self._read_copy = self.random.random() < 0.5
        self._revised = 0
        self._copies = 0
        self._kept: dict[Path, dict[str, tuple[int, int]]] = {}
        self._before: dict[str, tuple[int, int]] = {}
        self._copy_before: dict[str, tuple[int, int]] | None = None
        self._write_settings()

    def close(self) -> None:
        self._stack.close()

    def steps(self, commands: tuple[str, ...]) -> Iterator[Step]:
        """The first ingest, then the chosen commands in a random order, each at most twice."""
        first = self.random.choice(("rest", "archive", "auto"))
        yield self._ingest(first, STOP)
        blocks = [
            [self._remove(), self._ingest("rest" if first == "archive" else "archive", NOW - timedelta(days=1))],
            *([make()] for make in (self._follow, self._import, self._verify, self._compact, self._migrate)),
            *([make()] for make in (self._publish, self._publish, self._backup)),
        ]
        self.random.shuffle(blocks)
        for block in blocks:
            if block[0].command in commands:
                yield from block

    def strays(self) -> list[Path]:
        """The files, and the folders of temporary files, that no finished command leaves behind."""
        known = {self.folder / name for name in ("paths.toml", "threadx.duckdb", "copy.duckdb", "moved.duckdb")}
        known |= {*self._imports, *self._kept, *([self.folder / "read.duckdb"] if self._read_copy else [])}
        found = {_temporary_folder(path) for path in self.folder.rglob("*") if path.is_file() or ".tmp-" in path.name}
        return sorted(path for path in found - known if not _LOGS & {*path.relative_to(self.folder).parts})

    @property
    def _imports(self) -> list[Path]:
        archived = f"ETHUSDC-1m-{ARCHIVED_DAY}.zip"
        return [
            self.folder / name
            for name in (f"{IMPORTED}-1m.parquet", "BTCUSDC-1m.parquet", archived, f"{archived}.CHECKSUM")
        ]

    def _write_settings(self) -> None:
        read_copy = 'read_copy = "read.duckdb"\n' if self._read_copy else ""
        (self.folder / "paths.toml").write_text(
            f'[data.store]\ndatabase = "threadx.duckdb"\n{read_copy}'
            f'[data.api]\nbase_url = "{self.exchange.url}"\nrate_limit_calls = 1000000\nretry_delay = 0.1\n'
            f'[data.archive]\nbase_url = "{self.exchange.url}"\n'
        )

    # Commands that bring candles.

    def _ingest(self, source: str, end: datetime) -> Step:
        def after_end(out: str) -> list[str]:
            self.model.refilled()
            wrong = [text for symbol in SYMBOLS for text in self.model.lacking(symbol, START, end)]
            return wrong + self._miscounted(out) + self._read_copy_wrong(is_fresh=True)

        arguments = ("ingest", *SYMBOLS, "--start", f"{START:%Y-%m-%d}", "--end", f"{end:%Y-%m-%dT%H:%M}")
        return Step(
            "ingest",
            lambda: (*arguments, "--source", source, "--json"),
            after_kill=self._read_copy_wrong,
            after_end=after_end,
        )

    def _follow(self) -> Step:
        def next_hours(*options: str) -> tuple[str, ...]:
            self.exchange.advance(timedelta(hours=self.random.randint(1, 5)))
            return ("follow", *SYMBOLS, *options)

        def after_end(_: str) -> list[str]:
            now = self.exchange.now.replace(tzinfo=None)
            return [text for symbol in SYMBOLS for text in self.model.lacking(symbol, STOP, now)]

        return Step(
            "follow",
            lambda: next_hours("--once"),
            lambda: next_hours("--publish-every", "1m"),
            after_kill=self._read_copy_wrong,
            after_end=after_end,
        )

    def _import(self) -> Step:
        def begin() -> None:
            other, ours, archived, checksum = self._imports
            listed = make_market((IMPORTED,))[IMPORTED].candles
            listed = between(listed, START, START + timedelta(days=4))
            self.model.tell(IMPORTED, listed)
            pq.write_table(listed, other)
            own = between(self.market["BTCUSDC"].candles, BEGIN + timedelta(hours=12), START + timedelta(hours=2))
            pq.write_table(with_value(own, START + timedelta(hours=1), trade_count=7_777), ours)
            key = f"data/spot/daily/klines/ETHUSDC/1m/{archived.name}"
            for path, name in ((archived, key), (checksum, f"{key}.CHECKSUM")):
                file = self.exchange.archive.get(name)
                assert file is not None, name
                path.write_bytes(file.body)

        def after_end(out: str) -> list[str]:
            day = datetime.fromisoformat(ARCHIVED_DAY)
            wrong = self.model.lacking(IMPORTED, START, STOP) + self._miscounted(out)
            wrong += self.model.lacking("BTCUSDC", BEGIN + timedelta(hours=12), START)
            wrong += self.model.lacking("ETHUSDC", day, day + timedelta(days=1))
            differs = self.model.count("select count(distinct open_time) from store.revisions where not applied")
            return wrong + ([] if differs == 1 else [f"{differs} minutes differ from the imported file, not 1"])

        return Step(
            "import",
            lambda: ("import", *(path.name for path in self._imports[:3]), "--json"),
            begin=begin,
            after_end=after_end,
        )

    def _verify(self) -> Step:
        def begin() -> None:
            candles = self.market["BTCUSDC"].candles
            minutes = between(candles, *REVISED)["open_time"].to_pylist()
            chosen = self.random.sample(minutes, 20)
            for moment in chosen:
                candles = with_value(candles, moment, trade_count=5_000 + self.random.randint(0, 999))
            self.market.replace("BTCUSDC", candles)
            self.model.tell("BTCUSDC", candles)
            self.model.old_allowed = True
            self._revised = len(chosen)

        def after_kill() -> list[str]:
            return [*self._read_copy_wrong(), *self._revised_wrong(is_whole=False)]

        def after_end(_: str) -> list[str]:
            self.model.old_allowed = False
            return [*self._revised_wrong(is_whole=True), *self._read_copy_wrong(is_fresh=True)]

        return Step(
            "verify", lambda: ("verify", *SYMBOLS, "-t", "1h", "--repair", "--json"),
            begin=begin, after_kill=after_kill, after_end=after_end,
        )  # fmt: skip

    def _remove(self) -> Step:
        start, end = (f"{moment:%Y-%m-%dT%H:%M}" for moment in REMOVED)

        def after_end(_: str) -> list[str]:
            left = self.model.count(
                f"""select count(*) from store.candles_1m where symbol = 'ETHUSDC'
                and open_time >= '{REMOVED[0]}' and open_time < '{REMOVED[1]}'"""
            )
            return [*self.model.half_removed(), *([f"{left} candles are not removed"] if left else [])]

        return Step(
            "remove",
            lambda: ("remove", "ETHUSDC", "--start", start, "--end", end, "--yes"),
            begin=lambda: self.model.removing("ETHUSDC", *REMOVED),
            after_kill=self.model.half_removed,
            after_end=after_end,
        )

    # Commands that copy the store: it is the same before and after.

    def _compact(self) -> Step:
        return Step(
            "compact",
            lambda: ("compact", "--json"),
            begin=self._note_store,
            after_kill=self._store_wrong,
            after_end=lambda _: self._store_wrong(),
        )

    def _publish(self) -> Step:
        copy = self.folder / "copy.duckdb"

        def begin() -> None:
            self._note_store()
            self._copy_before = digest_of(copy) if copy.exists() else None

        def after_kill() -> list[str]:
            if not copy.exists():
                return [*self._store_wrong(), *(["copy.duckdb is gone"] if self._copy_before else [])]
            is_one = digest_of(copy) in (self._copy_before, self._before)
            return [
                *self._store_wrong(),
                *self._mark_wrong(copy),
                *([] if is_one else ["copy.duckdb is neither the old nor the new"]),
            ]

        def after_end(_: str) -> list[str]:
            wrong = differing(digest_of(copy), self._before)
            return [
                *self._store_wrong(),
                *self._mark_wrong(copy),
                *(f"copy.duckdb differs in {name}" for name in wrong),
            ]

        return Step(
            "publish",
            lambda: ("publish", "copy.duckdb", "--json"),
            begin=begin,
            after_kill=after_kill,
            after_end=after_end,
        )

    def _backup(self) -> Step:
        place = self.folder / "backups"
        is_folder = self.random.random() < 0.5

        def arguments() -> tuple[str, ...]:
            place.mkdir(exist_ok=True)
            if is_folder:
                # The name is that of the second, and a backup replaces nothing.
                time.sleep(1.0 if any(place.iterdir()) else 0.0)
                return ("backup", "backups", "--json")
            while (place / f"{self._copies}.duckdb").exists():
                self._copies += 1
            return ("backup", f"backups/{self._copies}.duckdb", "--json")

        def after_kill() -> list[str]:
            made = [path for path in place.glob("*.duckdb") if path not in self._kept]
            self._kept |= {path: digest_of(path) for path in made}
            wrong = [f"{path.name} differs" for path in made if self._kept[path] != self._before]
            return (
                self._store_wrong()
                + wrong
                + [f"{path.name} changed" for path in self._kept if digest_of(path) != self._kept[path]]
            )

        def after_end(out: str) -> list[str]:
            wrong = after_kill()
            path = Path(json.loads(out)["path"])
            return wrong + ([] if path in self._kept else [f"{path} is said to be made and is not"])

        return Step("backup", arguments, begin=self._note_store, after_kill=after_kill, after_end=after_end)

    def _migrate(self) -> Step:
        moved = self.folder / "moved.duckdb"

        def after_kill() -> list[str]:
            return [*self._store_wrong(), *(self.model.not_within(moved) if moved.exists() else [])]

        def after_end(_: str) -> list[str]:
            return [
                *self._store_wrong(),
                *(f"moved.duckdb differs in {name}" for name in differing(digest_of(moved), self._before)),
            ]

        return Step(
            "migrate",
            lambda: ("migrate", "moved.duckdb", "--json"),
            begin=self._note_store,
            after_kill=after_kill,
            after_end=after_end,
        )

    # What several of them look at.

    def _note_store(self) -> None:
        self._before = digest_of(self.model.store)

    def _store_wrong(self) -> list[str]:
        return [f"the store differs in {name}" for name in differing(digest_of(self.model.store), self._before)]

    def _mark_wrong(self, copy: Path) -> list[str]:
        with opened(copy) as connection:
            marks = connection.execute("select published_from, published_at from store_info").fetchall()
        is_marked = len(marks) == 1 and marks[0][0] == str(self.model.store) and marks[0][1] is not None
        log = copy.with_name(f"{copy.name}.wal")
        return ([] if is_marked else [f"{copy.name} bears no mark"]) + (
            [f"{log.name} lies there"] if log.exists() else []
        )

    def _read_copy_wrong(self, *, is_fresh: bool = False) -> list[str]:
        copy = self.folder / "read.duckdb"
        if not self._read_copy:
            return []
        if not copy.exists():
            return ["the read copy was not made"] if is_fresh else []
        wrong = [*self._mark_wrong(copy), *self.model.wrong(copy)]
        if is_fresh:
            wrong += [
                f"read.duckdb differs in {name}" for name in differing(digest_of(copy), digest_of(self.model.store))
            ]
        return wrong

    def _revised_wrong(self, *, is_whole: bool) -> list[str]:
        found = self.model.count("select count(*) from store.revisions where applied")
        is_right = found == self._revised if is_whole else found <= self._revised
        return [] if is_right else [f"{found} minutes are revised, not {self._revised}"]

    def _miscounted(self, out: str) -> list[str]:
        document: dict[str, Any] = json.loads(out)
        grown = self.model.count("select count(*) from store.candles_1m") - self.model.stored
        return [] if document["rows_added"] == grown else [f"{document['rows_added']} reported, {grown} stored"]


def _temporary_folder(path: Path) -> Path:
    """The folder of temporary files that a file lies in; else the file itself."""
    return next((folder for folder in reversed(path.parents) if ".tmp-" in folder.name), path)
