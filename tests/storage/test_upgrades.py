"""Stores of earlier versions: what writes upgrades them before it plans, what reads opens them as they are."""

from __future__ import annotations

import gzip
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import Result

from tests.conftest import Invoke
from tests.support.make_stores import STORES
from threadx_duck.config import Settings
from threadx_duck.errors import StoreError
from threadx_duck.storage import schema
from threadx_duck.storage.session import Session
from threadx_duck.storage.store import Store

pytestmark = pytest.mark.slow

SAVED = sorted({int(path.name.split("-")[1]) for path in STORES.glob("schema-*-store.duckdb.gz")})
NEXT = schema.SCHEMA_VERSION + 1

WRITING = [
    ("ingest", "BTCUSDC", "--end", "2024-01-01"),
    ("ingest", "BTCUSDC", "--end", "2024-01-02"),
    ("follow", "--once"),
    ("import", "btc.csv"),
    ("verify", "BTCUSDC", "-t", "1h"),
    ("verify", "BTCUSDC", "-t", "1h", "--repair"),
    ("compact",),
    ("migrate", "moved.duckdb"),
    ("remove", "BTCUSDC", "--start", "2024-01-01", "--end", "2024-01-01T01:00", "--yes"),
]

READING = [
    ("status",),
    ("gaps",),
    ("check",),
    ("candles", "BTCUSDC", "1h"),
    ("query", "select count(*) from candles_1h"),
    ("fingerprint",),
    ("explain", "BTCUSDC", "2024-01-01T10:00", "-t", "1h"),
    ("revisions",),
    ("export", "--format", "csv", "-o", "out"),
    ("ingest", "BTCUSDC", "--dry-run"),
    ("backup", "b.duckdb"),
    ("publish", "read.duckdb"),
    ("diff", "moved.duckdb"),
]


@pytest.fixture(params=SAVED)
def saved(request: pytest.FixtureRequest, settings: Settings) -> Path:
    """A store as an earlier version, or this one, wrote it."""
    path = settings.store.database
    assert isinstance(path, Path)
    _unpack(f"schema-{request.param}-store", path)
    Path("btc.csv").write_text("symbol,open_time,open,high,low,close,volume\nBTCUSDC,2023-12-31 23:59,1,1,1,1,1\n")
    return path


@pytest.fixture
def _newer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program of the version after this one, in which a table has one more column."""
    monkeypatch.setattr(schema, "SCHEMA_VERSION", NEXT)


def _unpack(name: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.decompress((STORES / f"{name}.duckdb.gz").read_bytes()))


def _ask(path: Path, statement: str) -> list[Any]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(statement).fetchall()


def _change(path: Path, statements: str) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute(statements)


def _version(path: Path) -> int:
    return int(_ask(path, "select schema_version from store_info")[0][0])


def _views(path: Path) -> list[str]:
    names = _ask(path, "select view_name from duckdb_views() where not internal order by all")
    return [name for (name,) in names]


def _told(result: Result) -> str:
    return f"{result.exit_code} {result.output} {result.exception!r}"


@pytest.mark.usefixtures("_newer")
@pytest.mark.parametrize("command", WRITING, ids=lambda command: " ".join(command[:1] + command[-1:]))
def test_commands_that_write_upgrade_a_saved_store_first(saved: Path, command: tuple[str, ...], invoke: Invoke) -> None:
    created = _ask(saved, "select created_at from store_info")
    ran = invoke(*command)
    assert ran.exit_code in {0, 3}, _told(ran)
    assert _version(saved) == NEXT
    assert _ask(saved, "select created_at from store_info") == created
    if command[0] == "migrate":
        assert _version(Path("moved.duckdb")) == NEXT


@pytest.mark.parametrize("command", WRITING, ids=lambda command: " ".join(command[:1] + command[-1:]))
def test_commands_that_write_bring_an_older_store_what_it_lacks(
    saved: Path, command: tuple[str, ...], invoke: Invoke
) -> None:
    views = _views(saved)
    _change(saved, "update store_info set schema_version = 0; drop view gaps; drop macro table candles")
    ran = invoke(*command)
    assert ran.exit_code in {0, 3}, _told(ran)
    assert _version(saved) == schema.SCHEMA_VERSION
    assert _views(saved) == views
    days = _ask(saved, "select count(*) from candles('BTCUSDC', interval 1 day, '2023-01-01', '2025-01-01')")
    assert days == _ask(saved, "select count(distinct open_time::date) from candles_1m where symbol = 'BTCUSDC'")
    assert days[0][0] > 0


@pytest.mark.usefixtures("_newer")
@pytest.mark.parametrize("command", READING, ids=lambda command: command[0])
def test_commands_that_read_open_an_older_store_and_leave_it(
    saved: Path, command: tuple[str, ...], invoke: Invoke
) -> None:
    _unpack(f"schema-{SAVED[0]}-store", Path("moved.duckdb"))
    before = saved.read_bytes()
    ran = invoke(*command)
    assert ran.exit_code == 0, _told(ran)
    assert saved.read_bytes() == before


@pytest.mark.parametrize("command", [("gaps",), ("query", "from gaps")], ids=lambda command: command[0])
def test_a_command_that_needs_what_an_older_store_lacks_says_what_adds_it(
    saved: Path, command: tuple[str, ...], invoke: Invoke
) -> None:
    _change(saved, "update store_info set schema_version = 0; drop view gaps")
    ran = invoke(*command)
    assert ran.exit_code == (2 if command[0] == "query" else 1)
    assert re.search(
        rf"threadx\.duckdb was written by an earlier threadx_duck \(schema 0, here {schema.SCHEMA_VERSION}\) "
        r"and lacks what this needs\. It is added by: threadx ingest",
        ran.stderr,
    )
    assert "\n" not in ran.stderr.strip()


def test_a_view_that_was_dropped_from_a_store_of_this_version_is_no_matter_of_upgrades(
    settings: Settings, invoke: Invoke, store_path: Path
) -> None:
    _unpack(f"schema-{schema.SCHEMA_VERSION}-store", store_path)
    _change(store_path, "drop view gaps")
    ran = invoke("gaps")
    assert ran.exit_code == 1
    assert "gaps does not exist" in ran.stderr
    assert "earlier" not in ran.stderr


@pytest.mark.usefixtures("_newer")
def test_a_saved_read_copy_is_read_as_it_is_and_renewed_by_the_next_publish(saved: Path, invoke: Invoke) -> None:
    copy = Path("read.duckdb")
    _unpack(f"schema-{SAVED[0]}-copy", copy)
    assert invoke("--db", str(copy), "gaps").exit_code == 0
    refused = invoke("--db", str(copy), "ingest", "BTCUSDC")
    assert "is a read copy of" in refused.stderr
    assert _version(copy) == SAVED[0]
    assert invoke("publish", str(copy)).exit_code == 0
    assert _version(copy) == NEXT
    assert _ask(copy, "select published_from from store_info") == [(str(saved),)]


@pytest.mark.usefixtures("_newer")
def test_an_older_read_copy_that_lacks_something_names_the_publication(invoke: Invoke, settings: Settings) -> None:
    _unpack(f"schema-{SAVED[0]}-copy", Path("read.duckdb"))
    _change(Path("read.duckdb"), "drop view gaps")
    ran = invoke("--db", "read.duckdb", "gaps")
    assert ran.exit_code == 1
    assert re.search(r"It is added by: threadx --db \S+store\.duckdb publish", ran.stderr)


def test_an_ingest_renews_a_read_copy_of_an_older_store(
    saved: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = Path("paths.toml").read_text().replace("[data.store]\n", '[data.store]\nread_copy = "read.duckdb"\n')
    Path("paths.toml").write_text(text)
    assert invoke("publish").exit_code == 0
    monkeypatch.setattr(schema, "SCHEMA_VERSION", NEXT)
    ran = invoke("ingest", "BTCUSDC", "--end", "2024-01-01")
    assert ran.exit_code == 0, _told(ran)
    assert _version(Path("read.duckdb")) == NEXT


@pytest.mark.usefixtures("_newer")
def test_a_step_runs_before_the_views_that_need_it_and_only_once(
    saved: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []
    plain = Session.run

    def noting(session: Session, name: str, **parameters: Any) -> Any:
        if name.startswith("upgrades/"):
            ran.append(name)
            return session._connection.execute("alter table requests add column if not exists extra integer")
        return plain(session, name, **parameters)

    monkeypatch.setattr(Session, "run", noting)
    monkeypatch.setattr(schema, "STEPS", {1: ("upgrades/never",), NEXT: ("upgrades/add_extra",)})
    for command in (("ingest", "BTCUSDC", "--end", "2024-01-01"), ("compact",)):
        done = invoke(*command)
        assert done.exit_code == 0, _told(done)
    assert ran == ["upgrades/add_extra"]
    assert _ask(saved, "select count(*) from requests where extra is null")[0][0] > 0


@pytest.mark.usefixtures("_newer")
def test_an_upgrade_that_fails_leaves_the_store_as_it_was(
    saved: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    _change(saved, "drop view gaps")
    before = _ask(saved, "from store_info")
    # Reached last: everything else of the upgrade has run.
    monkeypatch.setattr(schema, "utc_now", lambda: "no time at all")
    ran = invoke("compact")
    assert ran.exit_code == 1
    assert "threadx: error: sql/store/set_store_info.sql:" in ran.stderr
    assert _ask(saved, "from store_info") == before
    assert "gaps" not in _views(saved)
    monkeypatch.setattr(schema, "utc_now", lambda: datetime(2024, 1, 1))
    assert invoke("compact").exit_code == 0
    assert _version(saved) == NEXT


KEPT = [
    ("https://anna:geheim@api.test/api/v3/klines?symbol=BTCUSDC", "https://api.test/api/v3/klines?symbol=BTCUSDC"),
    ("http://anna:ge%2Fheim@[::1]:8080/a", "http://[::1]:8080/a"),
    ("http://geheim@api.test", "http://api.test"),
    ("http://anna:ge heim@ü@api.test/x@y", "http://api.test/x@y"),
    ("https://api.test/a?next=http://b@c", "https://api.test/a?next=http://c"),
    ("https://api.test/api@v3/klines?symbol=@", "https://api.test/api@v3/klines?symbol=@"),
    ("anna@geheim-1m.csv", "anna@geheim-1m.csv"),
]


@pytest.mark.parametrize("command", WRITING, ids=lambda command: " ".join(command[:1] + command[-1:]))
def test_passwords_that_earlier_versions_kept_leave_the_store_with_its_upgrade(
    settings: Settings, command: tuple[str, ...], invoke: Invoke, store_path: Path
) -> None:
    del settings
    _unpack("schema-2-store", store_path)
    Path("btc.csv").write_text("symbol,open_time,open,high,low,close,volume\nBTCUSDC,2023-12-31 23:59,1,1,1,1,1\n")
    with duckdb.connect(str(store_path)) as connection:
        # Far from what the commands continue or replace.
        connection.executemany(
            "insert into requests (select * replace (? as request_id, 'ETHUSDC' as symbol, ? as url)"
            " from requests limit 1)",
            [(number, url) for number, (url, _) in enumerate(KEPT)],
        )
        connection.execute("update requests set url = replace(url, '://', '://anna:geheim@') where symbol = 'BTCUSDC'")
    ran = invoke(*command)
    assert ran.exit_code in {0, 3}, _told(ran)
    assert invoke("publish", "read.duckdb").exit_code == 0
    paths = [store_path, Path("read.duckdb"), *Path().glob("moved.duckdb")]
    assert len(paths) == (3 if command[0] == "migrate" else 2)
    for path in paths:
        assert _ask(path, "select url from requests where symbol = 'ETHUSDC' order by request_id") == [
            (clean,) for _, clean in KEPT
        ], path
        assert _ask(path, "select count(*) from requests where symbol = 'BTCUSDC' and url like '%anna%'") == [(0,)]
    assert "anna" not in invoke("query", "select url from requests where symbol = 'BTCUSDC'").stdout


@pytest.mark.usefixtures("_newer")
def test_doctor_tells_of_an_older_store(saved: Path, invoke: Invoke) -> None:
    before = _version(saved)
    told = invoke("doctor").stdout
    assert f"An earlier threadx_duck wrote it (schema {before}, here {NEXT})." in told
    assert "The next ingest upgrades it." in told


def test_every_version_is_saved() -> None:
    assert list(range(1, schema.SCHEMA_VERSION + 1)) == SAVED, "run once: python -m tests.support.make_stores"


def test_a_newer_store_is_refused_by_every_command_but_query(saved: Path, invoke: Invoke) -> None:
    _unpack(f"schema-{SAVED[0]}-store", Path("moved.duckdb"))
    _change(saved, "update store_info set schema_version = 99")
    before, files = saved.read_bytes(), sorted(Path().rglob("*.duckdb*"))
    for command in (*WRITING, *READING, ("chart", "BTCUSDC", "1h", "--no-open"), ("coverage-map", "--no-open")):
        ran = invoke(*command)
        if command[0] == "query":
            assert ran.exit_code == 0, _told(ran)
            continue
        assert ran.exit_code == 1, command
        assert "written by a newer threadx_duck (schema 99" in ran.stderr, command
        assert ran.stderr.count("threadx: error: ") == 1, command
    assert saved.read_bytes() == before
    assert sorted(Path().rglob("*.duckdb*")) == files


def test_reading_an_older_store_in_python_serves_what_it_has(saved: Path, settings: Settings) -> None:
    _change(saved, "update store_info set schema_version = 0; drop view gaps")
    store = Store(settings.store)
    assert store.query("read/symbol_spans").num_rows == 1
    with pytest.raises(StoreError, match="lacks what this needs"):
        store.query("read/gaps", symbols=[], start=datetime(2024, 1, 1), end=datetime(2024, 1, 2))


@pytest.mark.parametrize("command", WRITING, ids=lambda command: " ".join(command[:1] + command[-1:]))
def test_a_column_of_somebodys_own_on_the_candles_does_not_stop_an_upgrade(
    settings: Settings, command: tuple[str, ...], invoke: Invoke, store_path: Path
) -> None:
    if command[0] == "migrate":
        pytest.skip("refuses columns that it would lose")
    _unpack("schema-1-store", store_path)
    Path("btc.csv").write_text("symbol,open_time,open,high,low,close,volume\nBTCUSDC,2023-12-31 23:59,1,1,1,1,1\n")
    filled = "select * from candles_filled('BTCUSDC', '1 hour', '2024-01-01', '2024-01-02') order by open_time"
    before = _ask(store_path, filled)
    _change(store_path, "alter table candles_1m add column note varchar default 'mine'")
    ran = invoke(*command)
    assert ran.exit_code in {0, 3}, _told(ran)
    assert _version(store_path) == schema.SCHEMA_VERSION
    if command[0] in {"ingest", "compact"} and command[-1] != "2024-01-02":
        assert _ask(store_path, filled) == before
    assert _ask(store_path, "select distinct note from candles_1m where note is not null") == [("mine",)]
