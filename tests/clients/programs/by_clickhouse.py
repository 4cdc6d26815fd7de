"""ClickHouse in process: the query of docs/spark.md on an exported tree gives what our own views give."""

import os
import re
import tempfile
from importlib.metadata import version
from pathlib import Path

import chdb
import duckdb
from exported import KIND, ROOT, compare, make_tree
from reading import report

WIDTHS = {
    "candles_5m": "5 minute",
    "candles_4h": "4 hour",
    "candles_1d": "1 day",
    "candles_3d": "3 day",
    "candles_1w": "1 week",
    "candles_1mo": "1 month",
}
COLUMNS = ("open", "high", "low", "close", "volume", "quote_volume", "minutes")
(QUERY,) = re.findall("```sql\n(.*?)```", (ROOT / "docs" / "spark.md").read_text(), re.DOTALL)

with tempfile.TemporaryDirectory() as temporary:
    folder = Path(temporary)
    path, _ = make_tree(folder)
    os.chdir(folder)
    counts = {}
    with duckdb.connect(str(path), read_only=True) as store:
        store.execute("set timezone = 'UTC'")
        for view, width in WIDTHS.items():
            assert "interval 4 hour" in QUERY
            written = folder / f"{view}.parquet"
            query = QUERY.replace("interval 4 hour", f"interval {width}")
            settings = query.index("settings ")
            chdb.query(f"{query[:settings]} into outfile '{written}' format Parquet {query[settings:]}")
            key = "ours.symbol = theirs.symbol and ours.open_time = theirs.bucket::timestamp"
            counts[view] = compare(store, view, written, COLUMNS, key)
report([], counts, counts.items(), version=f"chdb {version('chdb')}, {KIND} candles")
