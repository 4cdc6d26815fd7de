"""``python -m tests.clients``: makes an environment for each program and lets it read a store while an ingest goes on.

Each program lists tables, views and comments and reads derived candles, from the store itself and from the read
copy. Needs a package index and some gigabytes; not part of the suite. Names as arguments run only those;
``--environments DIR`` keeps the environments there for the next time; ``--record`` writes the versions that went
well into docs/clients/README.md.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import threading
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import click

from threadx_duck import IngestionManager, get_settings
from threadx_duck.follow import Follower, PublishSchedule
from threadx_duck.simulator import LoopbackExchange, generate_market
from threadx_duck.storage.sqlfiles import list_sql

PROGRAMS = Path(__file__).resolve().parent / "programs"
ROOT = PROGRAMS.parents[2]
RECORD = ROOT / "docs" / "clients" / "README.md"
SYMBOLS = ("BTCUSDC", "ETHUSDC")
START = datetime(2024, 1, 1)
NOW = datetime(2024, 1, 20, tzinfo=UTC)
OUTAGE = (datetime(2024, 1, 5, 3), datetime(2024, 1, 5, 5))

# Minutes of the exchange's clock a second.
SPEED = 60.0


class Client(NamedTuple):
    """A program of `PROGRAMS` and what is to be installed for it."""

    program: str
    packages: tuple[str, ...]


CLIENTS = {
    "duckdb-1.1": Client("plain_duckdb", ("duckdb==1.1.*",)),
    "duckdb-1.4": Client("plain_duckdb", ("duckdb==1.4.*",)),
    "duckdb-1.5": Client("plain_duckdb", ("duckdb==1.5.*",)),
    "duckdb-2.0": Client("plain_duckdb", ("duckdb==2.0.*",)),
    "frames": Client("frames", ("duckdb", "pandas", "polars", "pyarrow")),
    "duckdb-sqlalchemy": Client("by_sqlalchemy", ("duckdb-sqlalchemy", "pandas")),
    "duckdb-engine": Client("by_sqlalchemy", ("duckdb-engine", "sqlalchemy<2.1", "pandas")),
    "ibis": Client("by_ibis", ("ibis-framework[duckdb]", "duckdb<2")),
    "adbc": Client("by_adbc", ("duckdb", "adbc-driver-manager", "pyarrow")),
    "duckdb-cli": Client("by_cli", ("duckdb-cli",)),
    "harlequin": Client("by_harlequin", ("harlequin",)),
    "superset": Client("by_superset", ("apache-superset[duckdb]", "rich", "cachetools", "flask-caching<2.4")),
    "freqtrade": Client("by_freqtrade", ("freqtrade",)),
    "spark-3.5": Client("by_spark", ("--editable", str(ROOT), "pyspark==3.5.*")),
    "spark": Client("by_spark", ("--editable", str(ROOT), "pyspark")),
    "clickhouse": Client("by_clickhouse", ("--editable", str(ROOT), "chdb")),
    "notebook": Client("run_notebook", ("--editable", f"{ROOT}[notebook,test]")),
}

# These read an export, or bring a store of their own.
OTHERS = {"by_clickhouse", "by_freqtrade", "by_spark", "run_notebook"}


@click.command()
@click.argument("names", nargs=-1)
@click.option("--environments", type=click.Path(file_okay=False, path_type=Path), help="Keep environments here.")
@click.option("--record", is_flag=True, help="Write the versions that went well into the documents.")
def main(names: tuple[str, ...], environments: Path | None, *, record: bool) -> None:
    """Runs the programs and prints a line for each; exits with 1 if one fails."""
    with tempfile.TemporaryDirectory() as folder:
        home = environments or Path(folder) / "environments"
        pythons = {name: _environment(home / name, CLIENTS[name].packages) for name in names or CLIENTS}
        with _store(Path(folder)) as (store, copy, export):
            versions = {name: _try(name, pythons[name], store, copy, export) for name in pythons}
    if record:
        text = RECORD.read_text(encoding="utf-8")
        RECORD.write_text(recorded(text, {name: version for name, version in versions.items() if version}), "utf-8")
    sys.exit(not all(versions.values()))


def recorded(text: str, versions: dict[str, str]) -> str:
    """The document with the versions of clients in the rows of its table that name them."""
    for name, version in versions.items():
        text = re.sub(rf"^(\| `{re.escape(name)}` \|).*\|$", rf"\g<1> {version} |", text, flags=re.MULTILINE)
    return text


def _environment(folder: Path, packages: tuple[str, ...]) -> Path:
    """The interpreter of an environment with some packages; made, unless it is there."""
    python = folder / "bin" / "python"
    if not python.exists():
        click.echo(f"installing {' '.join(packages)}", err=True)
        venv.create(folder, with_pip=True)
        command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
        subprocess.run([str(part) for part in command], check=True, stderr=subprocess.DEVNULL)
    return python


@contextmanager
def _store(folder: Path) -> Iterator[tuple[Path, Path, Path]]:
    """A store that is written to every second, its read copy, and an export for freqtrade."""
    end = NOW.replace(tzinfo=None) + timedelta(days=3)
    market = generate_market(SYMBOLS, start=START, end=end, outages=[OUTAGE], quiet={"ETHUSDC": 0.4})
    with LoopbackExchange(market, now=NOW, speed=SPEED) as exchange:
        (folder / "paths.toml").write_text(
            f'[data.api]\nbase_url = "{exchange.url}"\nrate_limit_calls = 1000000\n[data.archive]\nenabled = false\n'
        )
        settings = get_settings(folder / "paths.toml")
        copy = folder / "read.duckdb"
        with IngestionManager(settings) as manager:
            manager.update_assets_batch(SYMBOLS)
            manager.export(folder / "freqtrade", "freqtrade", timeframes=["1m", "1h"])
            publish = PublishSchedule(manager.store, replace(settings.store, read_copy=str(copy)), timedelta(minutes=5))
            follower = Follower(
                manager, wait=lambda seconds: time.sleep(seconds / SPEED), note=click.echo, after_round=publish
            )
            follower.run_round()
            writer = threading.Thread(target=follower.run)
            writer.start()
            try:
                yield manager.store.path, copy, folder / "freqtrade"
            finally:
                follower.stop()
                writer.join()
        click.echo(f"{follower.rows_added:,} candles were added meanwhile")


def _try(name: str, python: Path, store: Path, copy: Path, export: Path) -> str:
    """Runs one program on the store and on the read copy; prints what came of it. Its versions, if all went well."""
    is_reader = CLIENTS[name].program not in OTHERS
    is_good, version = True, ""
    for what, database in (("store", store), ("copy", copy)) if is_reader else (("alone", store),):
        command = [str(python), str(PROGRAMS / f"{CLIENTS[name].program}.py"), str(database), str(export)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            click.echo(f"{name}: {what}: FAILED\n{done.stderr[-2000:]}")
            is_good = False
            continue
        seen = json.loads(done.stdout.splitlines()[-1])
        wrong = _what_is_wrong(seen) if is_reader else ""
        click.echo(f"{name}: {what}: {wrong or 'ok'} ({seen['version']}; {seen['candles']})")
        is_good, version = is_good and not wrong, seen["version"]
    return version if is_good else ""


def _what_is_wrong(seen: dict[str, Any]) -> str:
    tables = {file.relation for file in list_sql("schema")}
    views = {file.relation for file in list_sql("views")}
    hours = (NOW.replace(tzinfo=None) - START) // timedelta(hours=1) - 2
    if missing := (tables - set(seen["tables"])) | (views - set(seen["views"])):
        return f"does not list {', '.join(sorted(missing))}"
    if any(seen["candles"].get(symbol, 0) < hours for symbol in SYMBOLS):
        return f"reads too few candles, {hours} hours are stored"
    return "" if seen["comments"] else "shows no comments"


if __name__ == "__main__":
    main()
