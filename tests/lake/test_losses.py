"""What becomes of a lake that has lost files, or holds files that nobody knows."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.lake.conftest import Threadx, write_settings
from tests.lake.server import Server
from tests.lake.test_concurrency import KILLED_AT
from tests.support.processes import run_python
from threadx_duck.config import Settings
from threadx_duck.simulator import LoopbackExchange

INGEST = ("ingest", "BTCUSDC", "ETHUSDC", "--start", "2024-01-01", "--end", "2024-01-03")
ORPHAN = "ducklake-01a22058-6ed0-7945-93e5-251445562322.parquet"
LONG_AGO = time.time() - 200_000


@pytest.fixture
def filled(lake_settings: Settings, threadx: Threadx) -> Settings:
    """A lake of two symbols, all of it in files."""
    assert threadx(*INGEST).code == 0
    assert threadx("compact").code == 0
    return lake_settings


def _files(table: str, part: str = "") -> list[Path]:
    return sorted(path for path in Path("lake/main").joinpath(table).rglob("*.parquet") if part in str(path))


def _finding(threadx: Threadx, topic: str = "files") -> dict[str, str]:
    return next(row for row in threadx("doctor", "--json").document["findings"] if row["topic"] == topic)


def _assert_clean(threadx: Threadx) -> None:
    assert threadx("check", "--json").document["rows"] == 0
    assert _finding(threadx)["state"] == "ok"


@pytest.mark.parametrize("harm", ["gone", "cut"])
def test_lost_file_of_candles_is_named_given_up_and_asked_again(filled: Settings, threadx: Threadx, harm: str) -> None:
    before = threadx("fingerprint", "--json").out
    assert _finding(threadx)["state"] == "ok"
    (lost,) = _files("candles_1m", "BTCUSDC")
    if harm == "gone":
        lost.unlink()
    else:
        os.truncate(lost, 1_000)
    finding = _finding(threadx)
    assert finding["state"] == "problem"
    assert str(lost.absolute()) in finding["text"]
    assert ("1,000 instead of" in finding["text"]) == (harm == "cut")
    for arguments in (("compact",), ("fingerprint",), ("export", "-o", "out"), ("migrate", "moved.duckdb")):
        answer = threadx(*arguments)
        assert answer.code == 1, answer
        assert lost.name in answer.err.splitlines()[-1]
        assert answer.err.splitlines()[-1].startswith("threadx: error: ")
        assert "threadx" in answer.err.splitlines()[-1].split(lost.name)[1]
    given = threadx("compact", "--give-up-lost")
    assert given.code == 0, given
    assert f"Gave up {lost.absolute()}" in given.err
    assert "threadx ingest BTCUSDC --start 2024-01-01T00:00:00Z --end 2024-01-03T" in given.err
    assert threadx("check", "--json").document["rows"] == 0
    assert threadx("status", "--json").document["candles"] > 0
    assert threadx("candles", "BTCUSDC", "1h", "--format", "csv").out.count("\n") < 3
    again = threadx(*INGEST, "--json").document
    assert again["rows_added"] > 3_000
    assert threadx("fingerprint", "--json").out == before
    assert threadx("check", "--json").document["rows"] == 0
    # What is left of a file that was cut short is of no use to anybody, and goes in time.
    assert _finding(threadx)["state"] == ("ok" if harm == "gone" else "note")
    assert "No file is lost" in threadx("compact", "--give-up-lost").err


@pytest.fixture
def with_evidence(lake_settings: Settings, threadx: Threadx, make_candles: Callable[..., pa.Table]) -> Settings:
    """A lake all of whose tables have rows in files."""
    assert threadx(*INGEST).code == 0
    assert threadx("verify", "-t", "1h").code == 0
    wrong = make_candles(start=datetime(2024, 1, 2, 10, 5), minutes=2, close=10.5).drop_columns(["symbol"])
    pq.write_table(wrong, "BTCUSDC-1m.parquet")
    assert threadx("import", "BTCUSDC-1m.parquet", "--symbol", "BTCUSDC").code == 0
    assert threadx("compact").code == 0
    return lake_settings


@pytest.mark.parametrize("table", ["requests", "revisions", "native_candles", "store_info"])
def test_lost_file_of_evidence_takes_with_it_what_rested_on_it(
    with_evidence: Settings, threadx: Threadx, table: str
) -> None:
    before = threadx("fingerprint", "--json").out
    files = _files(table)
    assert files
    for file in files:
        file.unlink()
    assert _finding(threadx)["state"] == "problem"
    given = threadx("compact", "--give-up-lost")
    assert given.code == 0, given
    assert given.err.count("Gave up ") == len(files)
    # What has to be asked again is a gap until it is.
    checks = threadx("check", "--json").document["checks"]
    assert {row["name"] for row in checks if row["rows"]} <= {"unexplained_gap"}
    assert threadx(*INGEST).code == 0
    assert threadx("verify", "-t", "1h").code == 0
    assert threadx("fingerprint", "--json").out == before
    _assert_clean(threadx)


def test_killed_while_it_gives_up_it_goes_on(filled: Settings, threadx: Threadx, tmp_path: Path) -> None:
    before = threadx("fingerprint", "--json").out
    (lost,) = _files("candles_1m", "BTCUSDC")
    lost.unlink()
    killed = run_python(KILLED_AT, "lake/forget_files", "1", "compact", "--give-up-lost", folder=tmp_path)
    assert killed.returncode == -9, killed.stderr
    found = threadx("check", "--json").document
    assert found["rows"] > 0
    assert threadx("compact", "--give-up-lost").code == 0
    assert threadx("check", "--json").document["rows"] == 0
    assert threadx(*INGEST).code == 0
    assert threadx("fingerprint", "--json").out == before
    _assert_clean(threadx)


def test_data_path_that_is_not_mounted_is_no_loss(filled: Settings, threadx: Threadx) -> None:
    before = threadx("fingerprint", "--json").out
    Path("lake").rename("unmounted")
    finding = _finding(threadx)
    assert (finding["state"], finding["advice"]) == ("problem", "Mount it under the same name on every machine.")
    Path("lake").mkdir()
    assert _finding(threadx)["state"] == "problem"
    answer = threadx("compact", "--give-up-lost")
    assert answer.code == 1
    assert "Is it mounted?" in answer.err
    shutil.rmtree("lake")
    Path("unmounted").rename("lake")
    assert threadx("fingerprint", "--json").out == before
    _assert_clean(threadx)


def test_files_of_commits_that_failed_are_counted_and_deleted_in_time(filled: Settings, threadx: Threadx) -> None:
    before = threadx("fingerprint", "--json").out
    folder = _files("candles_1m", "BTCUSDC")[0].parent
    old, young = folder / ORPHAN, folder / ORPHAN.replace("01a2", "01a3")
    old.write_bytes(b"x" * 1_000_000)
    young.write_bytes(b"x" * 1_000_000)
    os.utime(old, (LONG_AGO, LONG_AGO))
    finding = _finding(threadx)
    assert (finding["state"], finding["text"].split(" of ")[0]) == ("note", "2 files (2.0 MB)")
    assert threadx("compact").code == 0
    assert (old.exists(), young.exists()) == (False, True)
    assert _finding(threadx)["text"].startswith("1 files (1.0 MB)")
    assert threadx("fingerprint", "--json").out == before


def test_files_of_other_people_are_named_and_never_deleted(filled: Settings, threadx: Threadx) -> None:
    other, old = Path("lake/mine.parquet"), _files("candles_1m")[0].parent / ORPHAN
    for path in (other, old):
        path.write_bytes(b"mine")
        os.utime(path, (LONG_AGO, LONG_AGO))
    assert threadx("compact").code == 0
    assert (other.exists(), old.exists()) == (True, True)
    answer = threadx("doctor", "--json").document["findings"]
    assert any(str(other.absolute()) in row["text"] and "Move them away" in row["advice"] for row in answer)
    other.unlink()
    assert threadx("compact").code == 0
    assert not old.exists()


RESULTS: dict[str, tuple[str, ...]] = {
    "candles": ("candles", "BTCUSDC", "1h", "-o"),
    "query": ("query", "select 42 as answer", "-o"),
    "chart": ("chart", "BTCUSDC", "1h", "--no-open", "-o"),
    "coverage-map": ("coverage-map", "--no-open", "-o"),
    "export": ("export", "-o"),
}


@pytest.mark.parametrize("is_told", [True, False], ids=["by the settings", "by the catalog"])
def test_no_result_is_written_among_the_files_of_the_lake(
    filled: Settings, threadx: Threadx, exchange: LoopbackExchange, address: str, tmp_path: Path, is_told: bool
) -> None:
    if not is_told:
        write_settings(tmp_path, exchange, address, data_path="")
    (tmp_path / "link.parquet").symlink_to(_files("candles_1m")[0])
    (tmp_path / "below").symlink_to(tmp_path / "lake" / "main")
    before = {path: path.read_bytes() for path in Path("lake").rglob("*") if path.is_file()}
    for name, command in RESULTS.items():
        places = ["lake", "lake/out", "below/out"] if name == "export" else [
            str(_files("candles_1m")[0]), "link.parquet", "lake/new.parquet", "below/new.csv", "lake/none/new.html"
        ]  # fmt: skip
        for place in places:
            answer = threadx(*command, place)
            assert (answer.code, answer.out) == (2, ""), (command, place, answer)
            assert answer.err.splitlines()[-1] == (
                f"threadx: error: {place} is where the lake keeps its files, under {tmp_path / 'lake'}. "
                "Name another place."
            ), answer
    assert {path: path.read_bytes() for path in Path("lake").rglob("*") if path.is_file()} == before
    _assert_clean(threadx)
    for name, command in RESULTS.items():
        assert threadx(*command, f"outside-{name}").code == 0


def test_new_lake_does_not_lie_among_the_files_of_another(
    filled: Settings, threadx: Threadx, server: Server, exchange: LoopbackExchange, tmp_path: Path
) -> None:
    write_settings(tmp_path, exchange, server.make_database())
    answer = threadx(*INGEST)
    assert answer.code == 1
    assert "holds Parquet files already" in answer.err
    assert "Name an empty place" in answer.err


def test_give_up_lost_is_for_a_lake(filled: Settings, threadx: Threadx) -> None:
    assert threadx("--db", "file.duckdb", *INGEST).code == 0
    answer = threadx("--db", "file.duckdb", "compact", "--give-up-lost")
    assert answer.code == 2
    assert "is for a lake" in answer.err
