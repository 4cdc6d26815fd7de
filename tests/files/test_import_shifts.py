"""How a file in local time is told from the stored candles, and what that costs where prices repeat."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from threadx_duck import IngestionManager
from threadx_duck.cli.main import run

START = datetime(2024, 3, 1)


def coarse(minutes: int, start: datetime = START, *, seed: int = 1) -> pa.Table:
    """Candles whose prices lie on four ticks, so that each equals hundreds of others of its day."""
    steps = np.random.default_rng(seed)
    opened, closed = steps.integers(0, 3, minutes), steps.integers(0, 3, minutes)
    first = np.datetime64(start, "us")
    return pa.table(
        {
            "symbol": ["PEPEUSDT"] * minutes,
            "open_time": first + np.arange(minutes) * np.timedelta64(60_000_000, "us"),
            "open": 0.01 + opened / 1000,
            "high": 0.01 + (np.maximum(opened, closed) + steps.integers(0, 2, minutes)) / 1000,
            "low": 0.01 + np.minimum(opened, closed) / 1000,
            "close": 0.01 + closed / 1000,
            "volume": steps.integers(1, 1000, minutes).astype(float),
        }
    )


def write(path: str, table: pa.Table, shift: timedelta = timedelta()) -> str:
    times = table["open_time"].to_numpy() + np.timedelta64(int(shift.total_seconds()), "s")
    pq.write_table(table.set_column(1, "open_time", pa.array(times)), path)
    return path


def stored() -> int:
    with duckdb.connect("data/threadx.duckdb", read_only=True) as connection:
        (count,) = connection.execute("select count(*) from candles_1m").fetchall()[0]
    return int(count)


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("paths.toml").write_text("")


def test_coarse_candles_next_to_the_stored_ones_are_taken() -> None:
    """Where both lie in one half day, hundreds are equal at any shift, by chance."""
    both = coarse(2_880)
    assert run(["import", write("one.parquet", both.slice(0, 1_440))]) == 0
    assert run(["import", write("two.parquet", both.slice(1_440))]) == 0
    assert stored() == 2_880


@pytest.mark.slow
@pytest.mark.parametrize(
    "shift", [timedelta(hours=2), timedelta(hours=-9, minutes=-30), timedelta(minutes=-1)], ids=str
)
def test_coarse_candles_in_local_time_are_refused(shift: timedelta, capsys: pytest.CaptureFixture[str]) -> None:
    table = coarse(20_000)
    assert run(["import", write("first.parquet", table.slice(9_000, 1_440))]) == 0
    assert run(["import", write("all.parquet", table, shift)]) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("threadx: error")]
    assert "all.parquet holds candles of PEPEUSDT at another time" in line
    assert stored() == 1_440


def test_candles_of_a_summer_and_a_winter_in_local_time_are_refused() -> None:
    table = coarse(28_800)
    assert run(["import", write("all.parquet", table)]) == 0
    halves = [table.slice(0, 12_000), table.slice(12_000)]
    times = np.concatenate([half["open_time"].to_numpy() for half in halves])
    times[:12_000] += np.timedelta64(3_600, "s")
    times[12_000:] += np.timedelta64(7_200, "s")
    pq.write_table(table.set_column(1, "open_time", pa.array(times)), "local.parquet")
    assert run(["import", "local.parquet"]) == 1


@pytest.mark.slow
@pytest.mark.parametrize("days", [2, 30])
def test_as_many_pairs_are_compared_whatever_the_size(days: int) -> None:
    """A year of coarse candles once took an hour: every candle was compared with all that equal it."""
    table = coarse(days * 1_440)
    assert run(["--quiet", "import", write("all.parquet", table)]) == 0
    with IngestionManager() as manager, manager.store.reading() as session, session.tables(incoming=table):
        shifts = session.run(
            "objections/import_shifts",
            symbol="PEPEUSDT",
            first=table["open_time"][0].as_py(),
            last=table["open_time"][-1].as_py(),
        )
        pairs = sum(compared for _, _, compared in shifts)
    assert shifts[0][0] == timedelta()
    assert 0 < pairs <= 20 * 2_000
