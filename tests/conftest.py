"""Fixtures that several test modules share."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from threadx_duck.sqlfiles import list_sql


def pytest_report_header() -> str:
    return f"duckdb {duckdb.__version__}"


@pytest.fixture
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    """An empty database in memory with every table, macro and view of ``sql/``."""
    with duckdb.connect() as connection:
        for folder in ("schema", "macros", "views"):
            for file in list_sql(folder):
                connection.execute(file.statement)
        yield connection
