"""A soak: kills a running ``threadx`` at random moments, again and again, and looks for anything lost.

``python -m tests.soak_kills --kills 50 --seed 1`` runs the long form and prints what was killed where;
`tests.test_kills` runs a short form. A process is killed with SIGKILL a random while after it has come to
a random point: the answer of the exchange, the parsing of it, a commit (which ends with a checkpoint), the
copying or swapping of a read copy, the rewriting or swapping of a compaction.

After every kill: what had been committed is stored, no check finds anything, nothing half done shows.
When a store is complete its candles are those of a run that nobody disturbed.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from threadx_duck.checks import run_checks
from threadx_duck.config import StoreSettings
from threadx_duck.fingerprints import compute_fingerprint
from threadx_duck.simulator import LoopbackExchange, generate_market
from threadx_duck.store import Store

SYMBOLS = ("BTCUSDC", "ETHUSDC")
START = datetime(2024, 1, 1, tzinfo=UTC)
NOW = datetime(2024, 2, 9, 12, tzinfo=UTC)
LAST_DAY = "2024-02-08"
OUTAGE = (datetime(2024, 1, 17, 5, tzinfo=UTC), datetime(2024, 1, 17, 7, tzinfo=UTC))
PATIENCE = 120.0

# Where a process is killed: what is called there, up to which turn of it, and the longest while afterwards, in seconds.
INGEST_POINTS = {
    "create": ("threadx_duck.database:link_file", 1, 0.05),
    "download": ("threadx_duck.sources.http:HttpClient._ask", 40, 0.01),
    "parse rest": ("threadx_duck.sources.rest:read_kline_rows", 40, 0.005),
    "parse file": ("threadx_duck.sources.archive:read_archive_file", 12, 0.02),
    "commit": ("threadx_duck.store:Store.append", 3, 0.1),
    "checkpoint": ("threadx_duck.session:Session.run=append/insert_requests", 3, 0.05),
}
PUBLISH_POINTS = {
    "publish copy": ("threadx_duck.publishing:copy_stream", 1, 0.01),
    "publish mark": ("threadx_duck.store:Store.mark_published", 1, 0.05),
    "publish swap": ("threadx_duck.publishing:replace_file", 1, 0.005),
}
COMPACT_POINTS = {
    "compact write": ("threadx_duck.maintenance:_rewrite", 1, 0.1),
    "compact compare": ("threadx_duck.maintenance:_require_same", 1, 0.05),
    "compact swap": ("threadx_duck.maintenance:replace_file", 1, 0.005),
}
POINTS = INGEST_POINTS | PUBLISH_POINTS | COMPACT_POINTS
INGESTS_KILLED = 6

_CHILD = """
import functools, importlib, os, signal, sys, threading
from threadx_duck import download
from threadx_duck.cli.main import run
from threadx_duck.store import Store

point, turn, delay = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
download.COMMIT_ROWS = 9_000
download._COMMIT_SECONDS = 0.3
turns = 0

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

def watched(function, wanted):
    @functools.wraps(function)
    def call(*arguments, **options):
        global turns
        if wanted is None or wanted in arguments:
            turns += 1
            if turns == turn:
                threading.Timer(delay, kill).start() if delay > 0.0005 else kill()
        return function(*arguments, **options)
    return call

append = Store.append
def acknowledged(self, batches):
    appended = append(self, batches)
    with open("acknowledged", "a") as file:
        file.write(f"{sum(row.rows_added for row in appended)}\\n")
    return appended
Store.append = acknowledged

module, _, path = point.partition(":")
path, _, wanted = path.partition("=")
owner = importlib.import_module(module)
*parents, name = path.split(".")
for parent in parents:
    owner = getattr(owner, parent)
setattr(owner, name, watched(getattr(owner, name), wanted or None))
sys.exit(run(sys.argv[4:]))
"""


@dataclass(frozen=True)
class Kill:
    """One process killed: where, with which source, what was stored before and after."""

    point: str
    source: str
    rows_before: int
    rows_after: int
    rows_lost: int
    faults: tuple[str, ...]


class Soak:
    """One exchange, and one store after another that is filled by processes which get killed."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder = folder
        self._random = random.Random(seed)
        self._life = 0
        self.completed = 0
        self.survived = 0

    def run(self, kills: int, points: Sequence[str] = tuple(POINTS)) -> Iterator[Kill]:
        """Yields each kill; raises `AssertionError` as soon as a completed store differs."""
        market = generate_market(SYMBOLS, start=START, end=NOW, outages=[OUTAGE], quiet={"ETHUSDC": 0.3})
        done = 0
        with LoopbackExchange(market, now=NOW, weight_limit=1_000_000) as exchange:
            expected = self._undisturbed(exchange)
            while done < kills:
                folder = self._new_life(exchange)
                for kill in self._live(folder, expected, points):
                    yield kill
                    done += 1
                    if done == kills:
                        break

    def _live(self, folder: Path, expected: str, points: Sequence[str]) -> Iterator[Kill]:
        source = self._random.choice(("rest", "archive", "auto"))
        ingest = ("ingest", *SYMBOLS, "--start", "2024-01-01", "--end", LAST_DAY, "--source", source)
        unreached = {"rest": "parse file", "archive": "parse rest"}.get(source)
        reached = [point for point in points if point in INGEST_POINTS and point != unreached]
        for point in self._random.choices(reached, k=INGESTS_KILLED if reached else 0):
            yield from self._kill(folder, point, source, ingest)
        _threadx(folder, *ingest)
        for known, command in ((PUBLISH_POINTS, "publish"), (COMPACT_POINTS, "compact")):
            for point in (point for point in points if point in known):
                yield from self._kill(folder, point, source, (command,))
        _threadx(folder, *ingest, "--refresh")
        assert _fingerprint(folder) == expected, f"{folder} differs from an undisturbed run"
        assert _fingerprint(folder, "read.duckdb") == expected, "the read copy is not that of the finished store"
        assert sorted(path.name for path in folder.glob("*.duckdb*")) == ["read.duckdb", "threadx.duckdb"]
        self.completed += 1

    def _kill(self, folder: Path, point: str, source: str, command: Sequence[str]) -> Iterator[Kill]:
        target, turns, longest = POINTS[point]
        before = _stored(folder)
        (folder / "acknowledged").write_text("")
        turn, delay = self._random.randint(1, turns), self._random.uniform(0.0, longest)
        arguments = [sys.executable, "-c", _CHILD, target, str(turn), str(delay), *command]
        ran = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False)
        if ran.returncode != -signal.SIGKILL:
            assert ran.returncode == 0, ran.stderr
            self.survived += 1
            return
        acknowledged = sum(map(int, (folder / "acknowledged").read_text().split()))
        after = _stored(folder)
        yield Kill(point, source, before, after, max(0, before + acknowledged - after), _faults(folder))

    def _new_life(self, exchange: LoopbackExchange) -> Path:
        self._life += 1
        folder = self._folder / f"life-{self._life}"
        folder.mkdir()
        (folder / "paths.toml").write_text(
            f'[data.store]\ndatabase = "threadx.duckdb"\nread_copy = "read.duckdb"\n'
            f'[data.api]\nbase_url = "{exchange.url}"\nrate_limit_calls = 1000000\n'
            f'[data.archive]\nbase_url = "{exchange.url}"\n'
        )
        return folder

    def _undisturbed(self, exchange: LoopbackExchange) -> str:
        folder = self._new_life(exchange)
        _threadx(folder, "ingest", *SYMBOLS, "--start", "2024-01-01", "--end", LAST_DAY, "--source", "rest")
        assert _faults(folder) == ()
        return _fingerprint(folder)


def _threadx(folder: Path, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "threadx_duck", "--quiet", *arguments],
        cwd=folder,
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=PATIENCE,
    )


def _store(folder: Path, name: str = "threadx.duckdb") -> Store:
    return Store(StoreSettings(database=folder / name))


def _fingerprint(folder: Path, name: str = "threadx.duckdb") -> str:
    return compute_fingerprint(_store(folder, name)).sha256


def _is_made(folder: Path) -> bool:
    """Whether the store has its tables: the very first commit makes them."""
    return (folder / "threadx.duckdb").exists() and _store(folder).info() is not None


def _stored(folder: Path) -> int:
    if not _is_made(folder):
        return 0
    with duckdb.connect(str(folder / "threadx.duckdb"), read_only=True) as connection:
        return int(connection.execute("select count(*) from candles_1m").fetchall()[0][0])


def _faults(folder: Path) -> tuple[str, ...]:
    """What the checks find in the store, and in its read copy, if these are there."""
    names = [name for name in ("threadx.duckdb", "read.duckdb") if (folder / name).exists()]
    stores = [_store(folder, name) for name in names if name != "threadx.duckdb" or _is_made(folder)]
    return tuple(
        f"{finding.name}: {finding.rows.num_rows}"
        for store in stores
        for finding in run_checks(store)
        if finding.rows.num_rows
    )


@contextmanager
def _scratch_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="threadx-soak-") as folder:
        yield Path(folder)


def main() -> None:
    """Runs the long form and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    kills: list[Kill] = []
    with _scratch_folder() as folder:
        soak = Soak(folder, options.seed)
        for kill in soak.run(options.kills):
            kills.append(kill)
            sys.stderr.write(f"{len(kills)}: {kill}\n")
    tries = Counter(kill.point for kill in kills)
    sys.stdout.write(f"{'killed in':<16} kills  left rows  rows lost  checks with rows\n")
    for point in POINTS:
        of_point = [kill for kill in kills if kill.point == point]
        grown = sum(kill.rows_after > kill.rows_before for kill in of_point)
        lost = sum(kill.rows_lost for kill in of_point)
        faults = sum(len(kill.faults) for kill in of_point)
        sys.stdout.write(f"{point:<16} {tries[point]:>5}  {grown:>9}  {lost:>9}  {faults:>16}\n")
    sys.stdout.write(
        f"{len(kills)} kills, {soak.completed} stores completed and equal to an undisturbed one, "
        f"{soak.survived} runs ended before their kill.\n"
    )
    sys.exit(any(kill.rows_lost or kill.faults for kill in kills))


if __name__ == "__main__":
    main()
