"""Running checks: the package's own, and those of a folder of the user's."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from threadx_duck.audit.checks import list_checks, run_checks
from threadx_duck.candles.klines import REJECTED_SCHEMA
from threadx_duck.candles.times import MINUTE
from threadx_duck.cli.main import run
from threadx_duck.config import StoreSettings
from threadx_duck.errors import SqlFileError, StoreError, UsageError
from threadx_duck.ledger.append import append_to_store
from threadx_duck.ledger.page import Page
from threadx_duck.ledger.requests import OpenRequest, make_batches
from threadx_duck.storage.sqlfiles import list_sql, sql_root
from threadx_duck.storage.store import Store

START = datetime(2024, 1, 1)
EXPENSIVE = "-- expensive: Finds candles above 10.\nselect symbol, open_time, high\nfrom candles_1m\nwhere high > 10\n"


@pytest.fixture
def store(store_path: Path, make_candles: Any) -> Store:
    """Two symbols of three candles, one of which costs more than 10."""
    made = Store(StoreSettings(database=store_path))
    for symbol, high in (("BTCUSDC", 12.0), ("ETHUSDC", 9.5)):
        candles = make_candles(symbol, open=9.0, close=9.0, high=high)
        page = Page(
            symbol,
            "1m",
            "rest",
            START,
            START + 3 * MINUTE,
            candles,
            REJECTED_SCHEMA.empty_table(),
            "https://a.test",
            (b"[]",),
            datetime(2024, 2, 1),
            0.1,
        )
        append_to_store(made, make_batches([OpenRequest(page)]))
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "my_checks"
    made.mkdir()
    return made


@pytest.fixture(autouse=True)
def only_some_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package's own checks have tests of their own; here they only must run."""
    if not (sql_root() / "checks").is_dir():
        monkeypatch.setattr("threadx_duck.audit.checks.list_sql", lambda folder: [])


def test_a_folders_checks_run_after_the_packages(store: Store, folder: Path) -> None:
    (folder / "expensive.sql").write_text(EXPENSIVE)
    findings = run_checks(store, folder=folder)
    own = [file.relation for file in list_sql("checks")] if (sql_root() / "checks").is_dir() else []
    assert [finding.name for finding in findings] == [*own, "expensive"]
    assert findings[-1].description == "Finds candles above 10."
    assert findings[-1].rows.to_pylist() == [
        {"symbol": "BTCUSDC", "open_time": START + number * MINUTE, "high": 12.0} for number in range(3)
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("symbols", "rows"), [((), 3), (("BTCUSDC",), 3), (("ETHUSDC",), 0), (("ETHUSDC", "BTCUSDC"), 3)]
)
def test_named_symbols_limit_what_is_found(store: Store, folder: Path, symbols: tuple[str, ...], rows: int) -> None:
    (folder / "expensive.sql").write_text(EXPENSIVE)
    assert run_checks(store, symbols, folder)[-1].rows.num_rows == rows


def test_a_symbol_is_a_value_never_sql(store: Store, folder: Path) -> None:
    (folder / "expensive.sql").write_text(EXPENSIVE)
    with pytest.raises(UsageError):
        run_checks(store, ["x') or ('1' = '1"], folder)


def test_list_checks_is_sorted_and_leaves_other_files_out(folder: Path) -> None:
    for name in ("b_check", "a_check"):
        (folder / f"{name}.sql").write_text(f"-- {name}: Finds.\nselect 1")
    (folder / "README.md").write_text("words")
    assert [check.relation for check in list_checks(folder)] == ["a_check", "b_check"]


def test_an_empty_folder_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"my_checks holds no \.sql files\.$"):
        list_checks(folder)


def test_a_malformed_check_is_named_by_its_path(store: Store, folder: Path) -> None:
    (folder / "fault.sql").write_text("select 1")
    with pytest.raises(SqlFileError, match=rf"^{folder}/fault\.sql must open with '-- fault: '"):
        run_checks(store, folder=folder)


def test_a_check_that_is_not_text_is_refused(folder: Path) -> None:
    (folder / "fault.sql").write_bytes(b"-- fault: \xff")
    with pytest.raises(SqlFileError, match=r"^Cannot read the checks in .*my_checks: "):
        list_checks(folder)


def test_a_check_as_a_folder_is_refused(folder: Path) -> None:
    (folder / "fault.sql").mkdir()
    with pytest.raises(SqlFileError, match=r"^Cannot read the checks in "):
        list_checks(folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    "statement",
    ["select nothing from candles_1m", "selec 1", "select symbol from nowhere", "select 1/'x'"],
    ids=["column", "syntax", "table", "value"],
)
def test_a_check_that_cannot_run_is_named_by_its_path(store: Store, folder: Path, statement: str) -> None:
    (folder / "fault.sql").write_text(f"-- fault: Finds.\n{statement}")
    with pytest.raises(StoreError, match=rf"^{folder}/fault\.sql: .*Error: ") as raised:
        run_checks(store, folder=folder)
    assert "\n" not in str(raised.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    "statement",
    ["delete from candles_1m", "drop table candles_1m", "insert into store_info select * from store_info"],
)
def test_a_check_cannot_write(store: Store, folder: Path, statement: str) -> None:
    (folder / "fault.sql").write_text(f"-- fault: Finds.\n{statement}")
    with pytest.raises(StoreError, match=r"fault\.sql: a check is one select\.$"):
        run_checks(store, folder=folder)


def test_a_check_without_symbols_cannot_be_limited_to_one(store: Store, folder: Path) -> None:
    (folder / "fault.sql").write_text("-- fault: Finds.\nselect 1 as x")
    with pytest.raises(StoreError, match=r"fault\.sql: .*symbol"):
        run_checks(store, ["BTCUSDC"], folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    "statement",
    [
        "copy (select 1) to 'stolen.csv'",
        "select 'x' as symbol, now() as open_time, content from read_text('secret.txt')",
        "select 'x' as symbol, now() as open_time, * from read_csv('secret.txt')",
        "select 'x' as symbol, now() as open_time, file from glob('*')",
        "attach 'other.duckdb'",
        "install httpfs",
        "set memory_limit = '1TB'",
        "pragma enable_checkpoint_on_shutdown",
    ],
)
def test_a_check_of_a_users_folder_reaches_the_store_alone(
    store: Store, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], statement: str
) -> None:
    (tmp_path / "secret.txt").write_text("a,b\n1,2\n")
    (folder / "fault.sql").write_text(f"-- fault: Finds.\n{statement}\n")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".log"}
    assert run(["check", "--checks", str(folder)]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"threadx: error: {folder / 'fault.sql'}: ")
    assert shown.err.count("\n") == 1
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".log"}
    assert after == before


def test_a_users_check_still_finds_its_rows_through_the_command(
    store: Store, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "expensive.sql").write_text(EXPENSIVE)
    assert run(["check", "ETHUSDC", "--checks", str(folder), "--json"]) == 3
    assert run(["check", "BTCUSDC", "--checks", str(folder)]) == 3
    assert "expensive: the first of 3 rows" in capsys.readouterr().out
