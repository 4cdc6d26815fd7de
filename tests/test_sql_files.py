"""The rules that every file of ``sql/`` keeps."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pytest

from threadx_duck.sqlfiles import SqlFile, list_sql, sql_root

# sql/spark is in Spark's words, which test_spark_views.py holds against ours.
FOLDERS = sorted(entry.name for entry in sql_root().iterdir() if entry.is_dir() and entry.name != "spark")
FILES = [file for folder in FOLDERS for file in list_sql(folder)]
WIDTHS = {
    "3m": "3 minutes",
    "5m": "5 minutes",
    "15m": "15 minutes",
    "30m": "30 minutes",
    "1h": "1 hour",
    "2h": "2 hours",
    "3h": "3 hours",
    "4h": "4 hours",
    "6h": "6 hours",
    "8h": "8 hours",
    "12h": "12 hours",
    "1d": "1 day",
    "3d": "3 days",
    "1w": "1 week",
    "1mo": "1 month",
}
# One standalone statement that clients of DuckDB 1.0 can read: no part of it can live elsewhere.
LONG_FILES = {"views/gaps": 205}


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


@files_of("")
def test_file_declares_the_parameters_it_takes(file: SqlFile, database: duckdb.DuckDBPyConnection) -> None:
    if file.name.startswith("macros/"):
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
def test_file_is_short(file: SqlFile) -> None:
    assert len(file.statement.splitlines()) <= LONG_FILES.get(file.name, 100)


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
    assert {f"candles_{timeframe}" for timeframe in WIDTHS} | {"gaps", "coverage"} <= views


@pytest.mark.parametrize("timeframe", WIDTHS)
def test_candle_view_equals_the_others_but_for_its_width(timeframe: str) -> None:
    # Never with itself: that would be equal whatever it says.
    other, width = ("4h", "4 hours") if timeframe == "2h" else ("2h", "2 hours")
    model = (Path(str(sql_root())) / f"views/candles_{other}.sql").read_text(encoding="utf-8")
    text = (Path(str(sql_root())) / f"views/candles_{timeframe}.sql").read_text(encoding="utf-8")
    if timeframe == "1h":
        # The one width, and the most used, that has a cheaper function of the same type on every DuckDB.
        text = text.replace("    -- The same as time_bucket, and the cheaper of the two.\n", "")
        text = text.replace("date_trunc('hour', open_time)", "time_bucket(interval '1 hour', open_time)")
    model = model.replace(f"candles_{other}", f"candles_{timeframe}").replace(
        f"interval '{width}'", f"interval '{WIDTHS[timeframe]}'"
    )
    assert text.splitlines()[1:] == model.splitlines()[1:]


@files_of("macros/")
def test_macro_rolls_up_as_the_views_do(file: SqlFile) -> None:
    view = next(view for view in list_sql("views") if view.relation == "candles_1h")
    first, last = "coalesce(arg_min(", "as taker_buy_quote_volume,"
    rule, macro_rule = (
        [line.strip() for line in text[text.index(first) : text.index(last)].splitlines()]
        for text in (view.statement, file.statement)
    )
    assert macro_rule == rule


def test_gaps_view_materializes_every_step() -> None:
    gaps = next(view for view in list_sql("views") if view.relation == "gaps")
    steps = re.findall(r"^(?:with )?(\w+) as (\w*) ?\($", gaps.statement, re.MULTILINE)
    assert len(steps) > 5
    assert {kind for _, kind in steps} == {"materialized"}


def test_gaps_view_uses_nothing_that_old_readers_lack() -> None:
    gaps = next(view for view in list_sql("views") if view.relation == "gaps")
    assert not re.search(r"\bif\(|\b(lead|lag)\([^()]*,", gaps.statement)
