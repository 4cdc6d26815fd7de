"""ibis."""

import ibis
from reading import DATABASE, patiently, report


def read():
    connection = ibis.duckdb.connect(DATABASE, read_only=True)
    try:
        hours = connection.table("candles_1h")
        counted = hours.group_by("symbol").agg(candles=hours.count()).order_by("symbol").execute()
        kinds = connection.raw_sql("select table_name, table_type from information_schema.tables").fetchall()
        comments = connection.raw_sql("select comment from duckdb_tables() where comment is not null").fetchall()
        assert set(connection.list_tables()) == {name for name, _ in kinds}
        return kinds, counted, comments
    finally:
        connection.disconnect()


kinds, counted, comments = patiently(read)
report(
    [name for name, kind in kinds if kind == "BASE TABLE"],
    [name for name, kind in kinds if kind == "VIEW"],
    counted.itertuples(index=False, name=None),
    comments=[row[0] for row in comments],
    version=f"ibis {ibis.__version__}",
)
