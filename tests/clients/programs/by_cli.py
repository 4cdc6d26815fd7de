"""DuckDB's own command line."""

import json
import subprocess
import sys
from pathlib import Path

from reading import CANDLES, DATABASE, patiently, report

PROGRAM = str(Path(sys.executable).with_name("duckdb"))


def run(*arguments):
    done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout


def query(sql):
    return json.loads(patiently(lambda: run("-readonly", DATABASE, "-json", "-c", sql)) or "[]")


tables = query("select table_name, comment from duckdb_tables()")
report(
    [row["table_name"] for row in tables],
    [row["view_name"] for row in query("select view_name from duckdb_views() where not internal")],
    [(row["symbol"], row["candles"]) for row in query(CANDLES)],
    comments=[row["comment"] for row in tables if row["comment"]],
    version=run("-version").split()[0],
)
