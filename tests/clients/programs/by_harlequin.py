"""Harlequin: the adapter that its catalogue and its query editor use."""

from importlib.metadata import version

from harlequin_duckdb import DuckDbAdapter
from reading import CANDLES, DATABASE, patiently, report


def read():
    connection = DuckDbAdapter(conn_str=[DATABASE], read_only=True).connect()
    try:
        (database,) = connection.get_catalog().items
        (schema,) = [item for item in database.children or database.fetch_children() if item.label == "main"]
        entries = schema.children or schema.fetch_children()
        listed = [(entry.label, entry.type_label) for entry in entries]
        comments = connection.execute("select comment from duckdb_tables() where comment is not null").fetchall()
        return listed, connection.execute(CANDLES).fetchall(), comments
    finally:
        connection.close()


listed, candles, comments = patiently(read)
report(
    [label for label, kind in listed if kind == "t"],
    [label for label, kind in listed if kind == "v"],
    [(row["symbol"], row["candles"]) for row in candles.to_pylist()],
    comments=comments["comment"].to_pylist(),
    version=f"harlequin {version('harlequin')}, duckdb {version('duckdb')}",
)
