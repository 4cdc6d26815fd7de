"""Apache Spark: the views of sql/spark on an exported tree equal ours, whatever the zone of the session."""

import tempfile
from pathlib import Path

import duckdb
import pyspark
from exported import KIND, compare, make_tree, types_of
from pyspark.sql import SparkSession
from reading import report

from threadx_duck.storage.sqlfiles import list_sql

# The second has an hour that is not, and one that is twice.
ZONES = ("UTC", "America/New_York")

with tempfile.TemporaryDirectory() as temporary:
    folder = Path(temporary)
    path, tree = make_tree(folder)
    options = {
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.sql.shuffle.partitions": "4",
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.ui.enabled": "false",
    }
    spark = SparkSession.builder.master("local[2]").config(map=options).getOrCreate()
    counts = {}
    with duckdb.connect(str(path), read_only=True) as store:
        for zone in ZONES:
            spark.conf.set("spark.sql.session.timeZone", zone)
            spark.read.parquet(str(tree / "1m")).createOrReplaceTempView("candles_1m")
            for file in list_sql("spark"):
                view = file.relation
                spark.sql(file.statement)
                spark.table(view).write.parquet(str(folder / zone.replace("/", "-") / view))
                written = f"{folder / zone.replace('/', '-') / view}/*.parquet"
                ours, theirs = types_of(store, view), types_of(store, f"read_parquet('{written}')")
                assert ours == theirs, f"{view}: {ours} and {theirs}"
                has_time = "open_time" in ours
                key = f"ours.symbol = theirs.symbol{' and ours.open_time = theirs.open_time' if has_time else ''}"
                counts[view] = compare(store, view, written, ours, key)
    spark.stop()
report([], counts, counts.items(), version=f"pyspark {pyspark.__version__}, {KIND} candles, {' and '.join(ZONES)}")
