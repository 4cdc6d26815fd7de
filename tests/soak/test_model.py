"""The model of the soak sees what it is there to see: each fault, planted in a store, is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from tests.support.soak_lives import Life
from tests.support.soak_model import _RULES, VALUES, differing, digest_of
from threadx_duck.config import get_settings
from threadx_duck.ingest import IngestionManager

_AT = "symbol = 'BTCUSDC' and open_time = '2024-01-28T10:00'"
_REVISED = f"""
    insert into revisions by name
    select symbol, open_time, applied, request_id as old_request_id, request_id as new_request_id, now() as revised_at,
        {", ".join(f"{name} as old_{name}" for name in VALUES)},
        {", ".join(f"{name} + more as new_{name}" for name in VALUES)}
    from candles_1m, (values {{}}) as planted (applied, more) where {_AT}"""

FAULTS = {
    "stored twice": f"insert into candles_1m from candles_1m where {_AT}",
    "candles without their request": f"update candles_1m set request_id = 1 where {_AT}",
    "candles with other values than the exchange's": f"update candles_1m set high = high + 1 where {_AT}",
    "candles lost": f"delete from candles_1m where {_AT}",
    "holes in conclusive ranges": f"delete from candles_1m where {_AT}",
    "rejected rows that are not the exchange's": "update rejected_rows set minute = '2024-01-28T10:00'",
    "lost_candle": f"delete from candles_1m where {_AT}",
    "unexplained_gap": "update requests set range_end = range_start",
    "revisions that are not true": _REVISED.format("(true, 0)"),
    "revisions that replaced by something else": _REVISED.format("(true, 1)"),
    "minutes revised twice": _REVISED.format("(true, 0), (true, 1)"),
}

# What a copy may lose besides rows.
LOST = {
    "views": "drop view candles_1h",
    "macros": "drop macro table candles",
    "columns": "comment on column candles_1m.close is null",
    "requests": "delete from requests where request_id = (select min(request_id) from requests)",
    "candles_1m": f"update candles_1m set volume = volume + 1e-9 where {_AT}",
}


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    with closing(Life(tmp_path_factory.mktemp("soak") / "life", "1")) as living:
        with IngestionManager(get_settings(living.folder / "paths.toml")) as manager:
            manager.update_assets_batch(["BTCUSDC"], "2024-01-28", "2024-01-30", source="rest")
        living.model.remember()
        yield living


@pytest.fixture
def planted(life: Life) -> Iterator[Path]:
    """The store, which is as it was afterwards."""
    body = life.model.store.read_bytes()
    yield life.model.store
    life.model.store.write_bytes(body)


def test_an_undisturbed_store_has_nothing_wrong(life: Life) -> None:
    assert life.model.stored
    assert life.model.wrong() == []
    assert life.strays() == []


@pytest.mark.slow
@pytest.mark.parametrize("what", FAULTS)
def test_a_planted_fault_is_told(life: Life, planted: Path, what: str) -> None:
    before = digest_of(planted)
    with closing(duckdb.connect(str(planted))) as connection:
        connection.execute(FAULTS[what])
    assert [text for text in life.model.wrong() if what in text]
    assert differing(digest_of(planted), before)


def test_a_fault_is_planted_for_every_rule() -> None:
    assert set(_RULES) <= set(FAULTS)


@pytest.mark.slow
@pytest.mark.parametrize("what", LOST)
def test_a_copy_that_lost_something_differs_in_it(planted: Path, what: str) -> None:
    before = digest_of(planted)
    with closing(duckdb.connect(str(planted))) as connection:
        connection.execute(LOST[what])
    assert what in differing(digest_of(planted), before)


def test_a_command_that_left_out_or_half_removed_candles_is_told(life: Life, planted: Path) -> None:
    start, end = datetime(2024, 1, 28, 9), datetime(2024, 1, 28, 11)
    assert life.model.lacking("BTCUSDC", start, end) == []
    with closing(duckdb.connect(str(planted))) as connection:
        connection.execute(f"delete from candles_1m where {_AT}")
    assert life.model.lacking("BTCUSDC", start, end) == ["a finished command left out 1 candles of BTCUSDC"]
    life.model.removing("BTCUSDC", start, end)
    assert life.model.half_removed() == ["half removed: 119 of 120 candles, 1 requests"]
    with closing(duckdb.connect(str(planted))) as connection:
        connection.execute(
            "delete from candles_1m where symbol = 'BTCUSDC' and open_time >= ? and open_time < ?", [start, end]
        )
    assert life.model.half_removed() == ["half removed: 0 of 120 candles, 1 requests"]
    life.model.refilled()


def test_a_migration_that_brought_something_else_is_told(life: Life, planted: Path, tmp_path: Path) -> None:
    part = tmp_path / "moved.duckdb"
    part.write_bytes(planted.read_bytes())
    assert life.model.not_within(part) == []
    with closing(duckdb.connect(str(part))) as connection:
        connection.execute(f"insert into candles_1m from candles_1m where {_AT}")
        connection.execute("delete from requests")
    assert life.model.not_within(part) == ["moved.duckdb: 1 rows of candles_1m that the store does not hold"]


def test_a_store_that_is_gone_is_told(life: Life, planted: Path) -> None:
    body = planted.read_bytes()
    planted.unlink()
    assert life.model.wrong() == ["the store is gone"]
    planted.write_bytes(body)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("threadx.duckdb.tmp-7", "threadx.duckdb.tmp-7"),
        ("threadx.duckdb.tmp-7f/threadx.duckdb", "threadx.duckdb.tmp-7f"),
        ("backups/1.duckdb.tmp-7.wal", "backups/1.duckdb.tmp-7.wal"),
        ("copy.duckdb.wal", "copy.duckdb.wal"),
    ],
)
def test_a_stray_file_is_told(life: Life, name: str, told: str) -> None:
    stray = life.folder / name
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"")
    assert life.strays() == [life.folder / told]
    stray.unlink()
    if stray.parent != life.folder:
        stray.parent.rmdir()
