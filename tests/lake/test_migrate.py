"""A store moves into a lake and back, also when it is killed on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.lake.conftest import Threadx
from tests.lake.server import Server
from tests.lake.test_concurrency import KILLED_AT
from tests.support.processes import run_python
from threadx_duck.config import Settings, with_database
from threadx_duck.simulator import LoopbackExchange
from threadx_duck.storage.store import Store

TABLES = ("candles_1m", "requests", "rejected_rows", "revisions", "native_candles", "store_info")


@pytest.fixture
def file_settings(settings: Settings, threadx: Threadx) -> Settings:
    """A file with candles, native candles and a revision."""
    assert threadx("ingest", "BTCUSDC", "ETHUSDC", "SOLUSDC", "--start", "2024-01-01", "--end", "2024-01-02").code == 0
    assert threadx("verify", "BTCUSDC", "-t", "4h").code == 0
    return settings


def _rows(settings: Settings, text: str) -> dict[str, list[dict[str, Any]]]:
    store = Store(with_database(settings.store, text))
    return {table: store.query_user_sql(f"select * from {table} order by all").to_pylist() for table in TABLES}


def test_file_moves_into_a_lake_and_back(file_settings: Settings, threadx: Threadx, address: str) -> None:
    answer = threadx("migrate", address, "--data-path", "files", "--json")
    assert answer.code == 0, answer
    assert answer.document["candles"] == answer.document["candles_copied"] > 6_000
    assert "password=***" in answer.document["target"]
    before = _rows(file_settings, "data/threadx.duckdb")
    assert _rows(file_settings, address) == before
    assert threadx("--db", address, "migrate", "back.duckdb").code == 0
    assert _rows(file_settings, "back.duckdb") == before
    for text in (address, "back.duckdb"):
        assert threadx("--db", text, "check", "--json").document["rows"] == 0
    again = threadx("migrate", address, "--json").document
    assert (again["candles_copied"], again["sha256"]) == (0, answer.document["sha256"])
    # And the lake is a store to go on with.
    assert threadx("--db", address, "ingest", "--end", "2024-01-03").code == 0
    assert "does not hold so" in threadx("migrate", address).err


@pytest.mark.parametrize(
    ("statement", "times"),
    [
        pytest.param("append/insert_all_candles", 2, id="candles"),
        pytest.param("migrate/insert_requests", 1, id="evidence"),
        pytest.param("migrate/set_created_at", 1, id="age"),
    ],
)
def test_killed_on_the_way_it_goes_on(
    file_settings: Settings, threadx: Threadx, address: str, tmp_path: Path, statement: str, times: int
) -> None:
    for command, target in (
        (("migrate", address, "--data-path", "files"), address),
        (("--db", address, "migrate", "back.duckdb"), "back.duckdb"),
    ):
        killed = run_python(KILLED_AT, statement, str(times), *command, folder=tmp_path)
        assert killed.returncode == -9, killed.stderr
        answer = threadx(*command, "--json")
        assert answer.code == 0, answer
        assert answer.document["candles_copied"] < answer.document["candles"]
        assert _rows(file_settings, target) == _rows(file_settings, "data/threadx.duckdb")


def test_lake_with_other_candles_is_refused(
    file_settings: Settings, threadx: Threadx, address: str, exchange: LoopbackExchange
) -> None:
    assert threadx("migrate", address, "--data-path", "files").code == 0

    def change(session: Any) -> None:
        session._connection.execute("update candles_1m set close = close + 1 where open_time = '2024-01-02'")

    Store(with_database(file_settings.store, address)).change(("BTCUSDC",), change)
    answer = threadx("migrate", address)
    assert answer.code == 2
    assert "password=*** dbname=" in answer.err
    assert "holds candles of BTCUSDC in 2024-01 that the store to be copied does not hold so" in answer.err


def test_new_lake_needs_a_data_path(file_settings: Settings, threadx: Threadx, address: str) -> None:
    answer = threadx("migrate", address)
    assert answer.code == 1
    assert "data_path" in answer.err


def test_lake_moves_to_another_lake(
    file_settings: Settings, threadx: Threadx, server: Server, address: str, tmp_path: Path
) -> None:
    other = server.make_database()
    assert threadx("migrate", address, "--data-path", "files").code == 0
    assert threadx("--db", address, "migrate", other, "--data-path", "more").code == 0
    assert _rows(file_settings, other) == _rows(file_settings, address)
