"""Finding and reading the files in ``sql/``."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from threadx_duck.errors import SqlFileError
from threadx_duck.storage import sqlfiles
from threadx_duck.storage.sqlfiles import list_sql, parse_sql, read_sql, sql_root

FOLDERS = ("append", "checks", "macros", "read", "schema", "sort", "views")
EVERY_FILE = [
    pytest.param(file, id=file.name)
    for folder in FOLDERS
    if (sql_root() / folder).is_dir()
    for file in list_sql(folder)
]


def test_parse_sql_splits_header_and_statement() -> None:
    file = parse_sql(
        "read/things",
        "-- things: Some things: of two kinds.\n"
        "-- A second sentence, which is for readers only.\n"
        "-- Parameters:\n"
        "--   $symbol VARCHAR: the exchange's string\n"
        "--   $start TIMESTAMP: start of the range,\n"
        "--     inclusive\n"
        "-- Columns:\n"
        "--   open_time: start: of the minute\n"
        "-- Returns: rows, by time.\n"
        "--   ignored: no\n"
        "\n"
        "select 1 -- one\n"
        "where true;\n",
    )
    assert file.title == "Some things: of two kinds."
    assert file.relation == "things"
    assert file.shown == "sql/read/things.sql"
    assert file.parameters == {"symbol": "the exchange's string", "start": "start of the range, inclusive"}
    assert file.columns == {"open_time": "start: of the minute"}
    assert file.statement == "select 1 -- one\nwhere true"


def test_parse_sql_reads_windows_line_ends() -> None:
    file = parse_sql("views/v", "-- v: A view.\r\n-- Columns:\r\n--   a: one\r\nselect 1 as a\r\n")
    assert (file.title, file.columns, file.statement) == ("A view.", {"a": "one"}, "select 1 as a")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "sql/checks/fault.sql must open with '-- fault: ' and one sentence.", id="empty"),
        pytest.param("select 1", "sql/checks/fault.sql must open with", id="no header"),
        pytest.param("-- Finds faults.\nselect 1", "sql/checks/fault.sql must open with", id="no name"),
        pytest.param("-- other: Finds faults.\nselect 1", "sql/checks/fault.sql must open with", id="other name"),
        pytest.param("\n-- fault: Finds faults.\nselect 1", "sql/checks/fault.sql must open with", id="blank line"),
        pytest.param("--fault: Finds faults.\nselect 1", "sql/checks/fault.sql must open with", id="no space"),
        pytest.param("-- fault: Finds faults.", "sql/checks/fault.sql has no statement.", id="header alone"),
        pytest.param("-- fault: Finds faults.\n\n ; ", "sql/checks/fault.sql has no statement.", id="semicolon alone"),
    ],
)
def test_parse_sql_of_a_malformed_file_is_refused(text: str, message: str) -> None:
    with pytest.raises(SqlFileError) as refused:
        parse_sql("checks/fault", text)
    assert str(refused.value).startswith(message)


def test_parse_sql_names_the_file_as_shown() -> None:
    with pytest.raises(SqlFileError, match=r"^my/fault\.sql has no statement\.$"):
        parse_sql("fault", "-- fault: Finds faults.", shown="my/fault.sql")


def test_read_sql_of_a_missing_file_names_it() -> None:
    with pytest.raises(SqlFileError, match=r"^sql/read/nope\.sql does not exist; reinstall threadx_duck\.$"):
        read_sql("read/nope")


def test_list_sql_is_sorted_and_leaves_other_files_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "read"
    folder.mkdir()
    for name in ("b_second", "a_first"):
        (folder / f"{name}.sql").write_text(f"-- {name}: One.\nselect 1")
    (folder / "notes.txt").write_text("no SQL")
    monkeypatch.setattr(sqlfiles, "sql_root", lambda: tmp_path)
    assert [file.name for file in list_sql("read")] == ["read/a_first", "read/b_second"]


def test_sql_root_has_every_folder() -> None:
    assert {"append", "macros", "read", "schema", "views"} <= {entry.name for entry in sql_root().iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize("file", EVERY_FILE)
def test_every_file_holds_one_statement_with_the_parameters_of_its_header(file: sqlfiles.SqlFile) -> None:
    with duckdb.connect() as connection:
        statements = connection.extract_statements(file.statement)
    assert len(statements) == 1
    if not file.name.startswith("macros/"):  # a macro's parameters are not those of a prepared statement
        assert set(statements[0].named_parameters) == set(file.parameters)
    assert file.title.endswith(".")
