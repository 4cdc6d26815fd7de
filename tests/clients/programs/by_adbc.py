"""ADBC: the driver is inside DuckDB's wheel; read-only needs the option of the driver itself."""

import adbc_driver_duckdb
import adbc_driver_manager
import adbc_driver_manager.dbapi
from reading import CANDLES, DATABASE, patiently, report


def read():
    with (
        adbc_driver_manager.dbapi.connect(
            driver=adbc_driver_duckdb.driver_path(),
            entrypoint="duckdb_adbc_init",
            db_kwargs={"path": DATABASE, "access_mode": "read_only"},
            autocommit=True,
        ) as connection,
        connection.cursor() as cursor,
    ):
        catalogs = connection.adbc_get_objects(depth="tables").read_all().to_pylist()
        listed = [
            (table["table_name"], table["table_type"])
            for catalog in catalogs
            for schema in catalog["catalog_db_schemas"]
            if schema["db_schema_name"] == "main"
            for table in schema["db_schema_tables"]
        ]
        cursor.execute("select comment from duckdb_tables() where comment is not null")
        comments = cursor.fetch_arrow_table().to_pydict()["comment"]
        cursor.execute(CANDLES)
        return listed, cursor.fetch_arrow_table().to_pylist(), comments


listed, rows, comments = patiently(read)
report(
    [name for name, kind in listed if kind == "BASE TABLE"],
    [name for name, kind in listed if kind == "VIEW"],
    [(row["symbol"], row["candles"]) for row in rows],
    comments=comments,
    version=f"adbc-driver-manager {adbc_driver_manager.__version__}",
)
