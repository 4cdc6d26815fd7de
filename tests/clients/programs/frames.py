"""polars and pandas over a DuckDB connection."""

import duckdb
import pandas
import polars
from reading import CANDLES, DATABASE, patiently, report


def read():
    with duckdb.connect(DATABASE, read_only=True) as connection:
        tables = connection.sql("select table_name, comment from duckdb_tables()").df()
        views = polars.read_database("select view_name from duckdb_views() where not internal", connection)
        polars_frame = connection.sql(CANDLES).pl()
        pandas_frame = connection.sql(CANDLES).df()
        assert polars_frame.rows() == list(pandas_frame.itertuples(index=False, name=None))
        return tables, views, polars_frame


tables, views, candles = patiently(read)
version = f"pandas {pandas.__version__}, polars {polars.__version__}, duckdb {duckdb.__version__}"
report(tables["table_name"], views["view_name"], candles.rows(), comments=tables["comment"].dropna(), version=version)
