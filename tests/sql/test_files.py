"""The rules that every file of ``sql/`` keeps."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

import threadx_duck
from threadx_duck.candles.timeframes import ONE_MINUTE, TIMEFRAMES, Timeframe
from threadx_duck.storage.sqlfiles import SqlFile, list_sql, read_sql, sql_root

# sql/spark is in Spark's words, which test_spark_views.py holds against ours.
FOLDERS = sorted(entry.name for entry in sql_root().iterdir() if entry.is_dir() and entry.name != "spark")
FILES = [file for folder in FOLDERS for file in list_sql(folder)]
# One standalone statement that clients of DuckDB 1.0 can read: no part of it can live elsewhere.
# The others take whole days before single minutes, which is what makes them fast; their steps serve nothing else.
LONG_FILES = {"views/gaps": 205, "comparison/verifiable_ranges": 170, "read/status": 110}


def files_of(*folders: str) -> pytest.MarkDecorator:
    chosen = [file for file in FILES if file.name.startswith(folders)]
    return pytest.mark.parametrize("file", chosen, ids=lambda file: file.name)


def columns_of(database: duckdb.DuckDBPyConnection, query: str) -> list[str]:
    return [row[0] for row in database.execute(f"describe {query}").fetchall()]


@files_of("")
def test_file_holds_one_statement(file: SqlFile) -> None:
    assert len(duckdb.extract_statements(file.statement)) == 1


@files_of("")
def test_file_title_is_one_sentence(file: SqlFile) -> None:
    assert re.fullmatch(r"\S[^\n]*\.", file.title)


@pytest.mark.slow
@files_of("")
def test_file_declares_the_parameters_it_takes(file: SqlFile, database: duckdb.DuckDBPyConnection) -> None:
    if file.name.startswith("session/"):
        database.execute(file.statement)
    if file.name.startswith(("macros/", "session/")):
        rows = database.execute(
            "select parameters from duckdb_functions() where function_name = ?", [file.relation]
        ).fetchall()
        taken = set(rows[0][0])
    else:
        taken = set(duckdb.extract_statements(file.statement)[0].named_parameters)
    assert set(file.parameters) == taken


@files_of("")
def test_file_writes_keywords_in_lower_case(file: SqlFile) -> None:
    code = re.sub(r"--[^\n]*|'[^']*'", "", file.statement)
    assert re.findall(r"\b[A-Z]{2,}\b", code) == []


@files_of("")
def test_file_says_things_one_way(file: SqlFile) -> None:
    code = re.sub(r"--[^\n]*", "", file.statement)
    assert re.findall(r"\binterval \d", code) == [], "interval '1 minute' is quoted"
    assert re.findall(r"(?m)^\s*join\b", code) == [], "a join says which one it is"
    assert re.findall(r"(?m)^\s*where [^\n]*\n\s*(?:and|or)\b", code) == [], "conditions stand below their where"


@files_of("")
def test_file_title_begins_like_a_sentence(file: SqlFile) -> None:
    assert not file.title[0].islower()


def test_folder_is_what_a_client_sees_or_is_named_as_the_module_that_runs_it() -> None:
    package = Path(threadx_duck.__file__).parent
    modules = {path.stem for path in package.rglob("*.py")}
    # Reads that many modules share; what needs no store; and the steps of storage.schema, whose name clients know.
    others = {"read", "scratch", "upgrades"}
    assert set(FOLDERS) - {"checks", "macros", "schema", "views"} - modules == others
    used = "\n".join(path.read_text(encoding="utf-8") for path in package.rglob("*.py"))
    assert [file.name for file in FILES if f'"{file.name}"' not in used and not _is_defined(file)] == []


def _is_defined(file: SqlFile) -> bool:
    """Whether every store gets it, or every check run, without its being named."""
    return file.name.startswith(("checks/", "macros/", "schema/", "views/"))


@files_of("")
def test_file_is_short(file: SqlFile) -> None:
    assert len(file.statement.splitlines()) <= LONG_FILES.get(file.name, 100)


@pytest.mark.slow
@files_of("schema/", "views/")
def test_table_or_view_file_documents_each_column(file: SqlFile, database: duckdb.DuckDBPyConnection) -> None:
    assert list(file.columns) == columns_of(database, file.relation)


@files_of("views/")
def test_view_file_makes_the_view_it_is_named_for(file: SqlFile) -> None:
    assert file.statement.startswith(f"create or replace view {file.relation} as\n")


@files_of("views/")
def test_view_file_leaves_the_order_to_the_reader(file: SqlFile) -> None:
    assert not re.search(r"^order by", file.statement, re.MULTILINE)


@files_of("macros/")
def test_macro_file_documents_each_column(file: SqlFile, database: duckdb.DuckDBPyConnection) -> None:
    columns = columns_of(database, f"from {file.relation}('A', '1 hour', '2024-01-01', '2024-01-02')")
    assert list(file.columns) == columns


@files_of("checks/")
def test_check_file_documents_each_column_symbol_and_time_first(
    file: SqlFile, database: duckdb.DuckDBPyConnection
) -> None:
    columns = columns_of(database, file.statement)
    assert columns[:2] == ["symbol", "open_time"]
    assert list(file.columns) == columns


@files_of("checks/")
def test_check_file_title_says_what_it_finds(file: SqlFile) -> None:
    assert file.title.startswith("Finds ")


def test_views_hold_every_timeframe() -> None:
    views = {file.relation for file in list_sql("views")}
    assert {timeframe.view for timeframe in TIMEFRAMES.values()} - {ONE_MINUTE.view} | {"gaps", "coverage"} == views


def test_candle_files_are_as_their_model_writes_them(tmp_path: Path) -> None:
    script = Path(str(sql_root())) / "derive.py"
    made = shutil.copytree(script.parent, tmp_path / "sql")
    assert subprocess.run([sys.executable, script, "--check"], check=False).returncode == 0

    for name in ("views/candles_2h.sql", "spark/candles_1w.sql", "macros/candles_filled.sql"):
        text = (made / name).read_text(encoding="utf-8")
        (made / name).write_text(text.replace("sum(volume)", "max(volume)"), encoding="utf-8")
    told = subprocess.run([sys.executable, made / "derive.py", "--check"], check=False, capture_output=True, text=True)
    assert told.returncode == 1
    assert [line.split()[0] for line in told.stderr.splitlines()] == [
        "sql/views/candles_2h.sql", "sql/spark/candles_1w.sql", "sql/macros/candles_filled.sql",
    ]  # fmt: skip

    assert subprocess.run([sys.executable, made / "derive.py"], check=False).returncode == 0
    for name in ("views/candles_2h.sql", "spark/candles_1w.sql", "macros/candles_filled.sql"):
        assert (made / name).read_text(encoding="utf-8") == (script.parent / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("timeframe", [t for t in TIMEFRAMES.values() if t != ONE_MINUTE], ids=lambda t: t.label)
def test_candle_view_has_the_width_of_its_timeframe(timeframe: Timeframe) -> None:
    view = read_sql(f"views/{timeframe.view}")
    number, unit = timeframe.width.split()
    assert set(re.findall(r"interval '(\d+) (\w+?)s?'", view.statement)) == {(number, unit.removesuffix("s"))}


def test_gaps_view_materializes_every_step() -> None:
    gaps = next(view for view in list_sql("views") if view.relation == "gaps")
    steps = re.findall(r"^(?:with )?(\w+) as (\w*) ?\($", gaps.statement, re.MULTILINE)
    assert len(steps) > 5
    assert {kind for _, kind in steps} == {"materialized"}


def test_gaps_view_uses_nothing_that_old_readers_lack() -> None:
    gaps = next(view for view in list_sql("views") if view.relation == "gaps")
    assert not re.search(r"\bif\(|\b(lead|lag)\([^()]*,", gaps.statement)
