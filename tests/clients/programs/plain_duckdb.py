"""Any DuckDB version: every view and macro, `gaps` included."""

import duckdb
from reading import CANDLES, DATABASE, GAPS, patiently, report


def read():
    with duckdb.connect(DATABASE, read_only=True) as connection:
        fetch = lambda sql: connection.execute(sql).fetchall()  # noqa: E731
        views = [row[0] for row in fetch("select view_name from duckdb_views() where not internal")]
        for view in views:
            fetch(f"select * from {view} limit 3")
        fetch("from candles('BTCUSDC', '45 minutes', '2024-01-02', '2024-01-03')")
        fetch("from candles_filled('BTCUSDC', '1 hour', '2024-01-01', '2024-01-02')")
        tables = [row[0] for row in fetch("select table_name from duckdb_tables() where not internal")]
        comments = [row[0] for row in fetch("select comment from duckdb_tables() where comment is not null")]
        return tables, views, fetch(CANDLES), comments, fetch(GAPS)


tables, views, candles, comments, gaps = patiently(read)
report(tables, views, candles, comments=comments, gaps=len(gaps), version=duckdb.__version__)
