"""The doctor: what it sees, what it advises, and that it changes nothing."""

from __future__ import annotations

import os
import re
from collections import namedtuple
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest
from click.testing import CliRunner

from tests.support.processes import holding
from threadx_duck.audit.checks import run_checks
from threadx_duck.candles.times import utc_now
from threadx_duck.cli.main import threadx
from threadx_duck.config import Settings
from threadx_duck.ingest import IngestionManager
from threadx_duck.simulator import LoopbackExchange
from threadx_duck.storage.store import Store
from threadx_duck.upkeep import doctor
from threadx_duck.upkeep.doctor import Finding, examine
from threadx_duck.upkeep.publish import publish

pytestmark = pytest.mark.slow


@pytest.fixture
def store(settings: Settings) -> Store:
    with IngestionManager(settings) as manager:
        manager.update_assets_batch(["BTCUSDC"], "2024-01-01", "2024-01-01")
        return manager.store


@pytest.fixture
def settings(settings: Settings, exchange: LoopbackExchange) -> Settings:
    archive = replace(settings.archive, enabled=True, base_url=exchange.url)
    api = replace(settings.api, timeout_seconds=2.0)
    return replace(settings, archive=archive, api=api)


def _found(settings: Settings) -> dict[str, Finding]:
    return {finding.topic: finding for finding in examine(settings)}


def _states(settings: Settings) -> dict[str, str]:
    return {topic: finding.state for topic, finding in _found(settings).items()}


def test_doctor_of_a_sound_store_finds_all_well(store: Store, settings: Settings, exchange: LoopbackExchange) -> None:
    exchange.now = utc_now()
    before = store.path.read_bytes()
    found = _found(settings)
    assert {topic for topic, finding in found.items() if finding.state != "ok"} == set()
    assert list(found) == ["versions", "store", "space", "access", "checks", "disk", "exchange", "archive"]
    assert duckdb.__version__ in found["versions"].text
    assert "binance_spot, DuckDB storage v1.0.0" in found["store"].text
    assert found["checks"].text == f"All {len(run_checks(store))} checks find nothing."
    assert store.path.read_bytes() == before


def test_doctor_without_a_store_says_how_to_make_one(settings: Settings) -> None:
    found = _found(settings)
    assert found["store"] == Finding(
        "store", "note", f"There is no store at {settings.store.database}.", "threadx ingest SYMBOL"
    )
    assert "checks" not in found
    assert not settings.store.database.parent.exists()


def test_doctor_sees_freed_blocks_and_advises_to_compact(store: Store, settings: Settings) -> None:
    with duckdb.connect(str(store.path)) as connection:
        connection.execute("create table big as select random() as x from range(3_000_000)")
        connection.execute("checkpoint")
        connection.execute("drop table big")
    found = _found(settings)["space"]
    assert (found.state, found.advice) == ("note", "threadx compact")
    assert "freed blocks" in found.text


@pytest.mark.parametrize("mode", ["ro", "rw"])
def test_doctor_names_the_process_that_has_the_store_open(store: Store, settings: Settings, mode: str) -> None:
    with holding(store.path, mode) as holder:
        found = _found(settings)
    assert found["access"].state == "note"
    assert f"(process {holder.pid}) has the store open" in found["access"].text
    assert "threadx publish" in found["access"].advice
    assert found["store"].state == ("ok" if mode == "ro" else "note")
    assert _states(settings)["access"] == "ok"


def test_doctor_sees_a_log_and_leaves_it(store: Store, settings: Settings) -> None:
    with holding(store.path, "rw") as writer:
        writer.ask("insert into rejected_rows values ('BTCUSDC', null, 'x', 'unreadable', 1)")
        os.kill(writer.pid, 9)
    before = store.file.log.read_bytes()
    found = _found(settings)
    assert found["log"].state == "note"
    assert "holds commits that are not in the file yet" in found["log"].text
    assert store.file.log.read_bytes() == before


def test_doctor_sees_what_the_checks_find(store: Store, settings: Settings) -> None:
    with duckdb.connect(str(store.path)) as connection:
        connection.execute("insert into candles_1m select * from candles_1m limit 2")
    found = _found(settings)["checks"]
    assert (found.state, found.advice) == ("problem", "threadx check")
    assert "duplicate_candle: 2 rows" in found.text


def test_doctor_sees_leftovers_of_killed_processes(store: Store, settings: Settings) -> None:
    left = store.path.with_name(f"threadx.duckdb.tmp-{'0' * 16}")
    left.mkdir()
    (left / "lock").touch()
    assert str(left) in _found(settings)["leftovers"].text
    assert left.exists()


def test_doctor_tells_the_age_of_the_read_copy(store: Store, settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "read.duckdb"
    settings = replace(settings, store=replace(settings.store, read_copy=str(path)))
    assert "There is no read copy at" in _found(settings)["read copy"].text
    duckdb.connect(str(path)).close()
    assert _states(settings)["read copy"] == "problem"
    path.unlink()
    publish(store, settings.store, path)
    assert f"{path} was taken " in _found(settings)["read copy"].text
    of_copy = replace(settings, store=replace(settings.store, database=path))
    assert any("This is a read copy of" in finding.text for finding in examine(of_copy))


def test_doctor_of_a_damaged_store_says_so_and_goes_on(store: Store, settings: Settings) -> None:
    store.path.write_bytes(store.path.read_bytes()[:5_000])
    found = _found(settings)
    assert found["store"].state == "problem"
    assert "is cut short" in found["store"].text
    assert "exchange" in found


def test_doctor_sees_a_full_disk(store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    assert _states(settings)["disk"] == "ok"
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: usage(100, 99, 1))
    found = _found(settings)["disk"]
    assert (found.state, found.text) == ("problem", f"0.0 MB free in {store.path.parent}.")
    assert found.advice.startswith("Make room: ")


def test_doctor_tells_the_difference_of_the_clocks(settings: Settings, exchange: LoopbackExchange) -> None:
    exchange.now = utc_now() + timedelta(hours=1)
    found = _found(settings)["exchange"]
    assert found.state == "note"
    assert re.search(r"this machine's clock is (3[56]\d\d)\.\d s behind\.", found.text)
    assert "Set this machine's clock" in found.advice


@pytest.mark.parametrize(
    ("path", "kind", "topic", "expected"),
    [
        pytest.param("/api/v3/time", 451, "exchange", "does not serve your location (451)", id="451"),
        pytest.param("/api/v3/time", "drop", "exchange", "No answer from", id="drop"),
        pytest.param("/api/v3/time", "html_200", "exchange", "something other than JSON", id="html"),
        pytest.param("/", 503, "archive", "answers 503", id="archive-503"),
        pytest.param("/", "drop", "archive", "No answer from", id="archive-drop"),
    ],
)
def test_doctor_names_the_host_that_does_not_answer(
    settings: Settings, exchange: LoopbackExchange, path: str, kind: Any, topic: str, expected: str
) -> None:
    exchange.fail(kind, times=None, match=lambda request: request.path == path)
    found = _found(settings)[topic]
    assert found.state == "problem"
    assert expected in found.text
    assert found.advice


def test_doctor_leaves_out_an_archive_that_is_not_used(settings: Settings) -> None:
    assert "archive" not in _found(replace(settings, archive=replace(settings.archive, enabled=False)))


def test_doctor_on_the_command_line_exits_with_3_for_a_problem(store: Store, exchange: LoopbackExchange) -> None:
    well = CliRunner().invoke(threadx, ["doctor"])
    assert well.exit_code == 0
    assert well.stdout.startswith("ok      versions: ")
    exchange.fail("drop", times=None)
    ill = CliRunner().invoke(threadx, ["doctor", "--json"])
    document = orjson.loads(ill.stdout)
    assert ill.exit_code == 3
    assert document["problems"] == 1
    assert [entry["topic"] for entry in document["findings"] if entry["state"] == "problem"] == ["exchange"]
    assert "-> See [data.api] base_url" in CliRunner().invoke(threadx, ["doctor"]).stdout
