"""SQLAlchemy with duckdb-sqlalchemy or duckdb-engine, whichever is installed."""

from importlib.metadata import PackageNotFoundError, version

import pandas
import sqlalchemy
from reading import CANDLES, DATABASE, patiently, report
from sqlalchemy.pool import NullPool

engine = sqlalchemy.create_engine(f"duckdb:///{DATABASE}", poolclass=NullPool, connect_args={"read_only": True})


def read():
    inspector = sqlalchemy.inspect(engine)
    tables, views = inspector.get_table_names(), inspector.get_view_names()
    columns = {column["name"]: column.get("comment") for column in inspector.get_columns("candles_1h")}
    assert {"open_time", "close", "is_complete"} <= set(columns)
    try:
        comments = [inspector.get_table_comment("candles_1m")["text"]]
    except NotImplementedError:
        comments = []
    with engine.connect() as connection:
        frame = pandas.read_sql_query(sqlalchemy.text(CANDLES), connection)
    return tables, views, frame.itertuples(index=False, name=None), [*comments, *filter(None, columns.values())]


tables, views, candles, comments = patiently(read)
names = []
for package in ("duckdb-sqlalchemy", "duckdb-engine", "sqlalchemy", "duckdb"):
    try:
        names.append(f"{package} {version(package)}")
    except PackageNotFoundError:
        continue
report(tables, views, candles, comments=[text for text in comments if text], version=", ".join(names))
