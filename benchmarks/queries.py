"""Reads one symbol-year and all symbols, from the file to an Arrow table, against other stores.

ArcticDB, polars, pandas and ClickHouse take the plain first, max, min, last and sum; ours follow the exchange's
rule on minutes without trades, which costs extra.
"""

from __future__ import annotations

import argparse
from datetime import timedelta
from pathlib import Path

import duckdb
import pyarrow.feather as feather
import pyarrow.parquet as pq
from common import (
    OLDEST,
    PEERS,
    START,
    Results,
    Row,
    Worker,
    best_of,
    connect,
    environment,
    make_store,
    parser,
    settings_for,
    shape,
    timed,
)  # fmt: skip

from threadx_duck import IngestionManager


def main() -> None:
    """Measures, prints the table, writes the JSON."""
    options = parser(__doc__ or "", minutes=10e6)
    options.add_argument("--pruning-minutes", type=lambda text: int(float(text)), default=20_000_000)
    options.add_argument(
        "--peers", type=Path, help="a Python that has ArcticDB, polars, pandas, chdb; else one is made"
    )
    options.add_argument("--oldest", type=Path, help="a Python that has the oldest DuckDB; else one is made")
    options.add_argument("--without-peers", action="store_true", help="measure only what needs no other environment")
    chosen = options.parse_args()
    results = Results("queries", vars(chosen))
    path = make_store(chosen.data, chosen.minutes)
    measure_manager(results, chosen, path)
    if not chosen.without_peers:
        measure_peers(results, chosen, path)
    large = make_store(chosen.data, chosen.pruning_minutes)
    measure_pruning(results, chosen, large)
    results.finish(chosen.json)


def one_symbol(connection: duckdb.DuckDBPyConnection, symbol: str) -> int:
    """Reads one symbol's hours."""
    sql = "select * from candles_1h where symbol = ? order by open_time"
    return int(connection.sql(sql, params=[symbol]).to_arrow_table().num_rows)


def measure_manager(results: Results, chosen: argparse.Namespace, path: Path) -> None:
    """Compares the manager, which opens the store each time, with the view on an open connection."""
    names, each = shape(chosen.minutes)
    symbol, end = names[0], START + timedelta(minutes=each)

    def view() -> float:
        # Closed again: DuckDB keeps one instance per file and process, and the manager must open its own.
        with connect(path) as opened:
            one_symbol(opened, symbol)
            return timed(lambda: one_symbol(opened, symbol))

    with IngestionManager(settings_for(path)) as manager:
        best = best_of(
            chosen.rounds,
            manager=lambda: timed(lambda: manager.candles(symbol, "1h", START, end)),
            view=view,
        )
    work = "manager.candles, 1h of one symbol-year"
    results.add(Row(work, "view, open", best["manager"] * 1e3, best["view"] * 1e3, 3))


def measure_peers(results: Results, chosen: argparse.Namespace, path: Path) -> None:
    """Compares one symbol-year with three other stores, and all symbols with ClickHouse."""
    names, _each = shape(chosen.minutes)
    symbol = names[0]
    folder = chosen.data / f"peers-{chosen.minutes}"
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: str(folder / f"year.{name}") for name in ("parquet", "feather")}
    everything = folder / "all.parquet"
    with connect(path) as connection:
        year = connection.sql(
            "select * exclude (request_id) from candles_1m where symbol = ? order by open_time", params=[symbol]
        ).to_arrow_table()
        pq.write_table(year, files["parquet"], compression="zstd")
        feather.write_feather(year, files["feather"], compression="lz4")
        if not everything.exists():
            connection.sql("select * exclude (request_id) from candles_1m order by all").write_parquet(str(everything))
    python = environment(chosen.peers, chosen.data, "peers", PEERS)
    with Worker(python) as peers, connect(path) as connection:
        arctic = {"folder": str(folder / "arctic"), "symbol": symbol}
        if not (folder / "arctic").exists():
            (folder / "arctic").mkdir()
            peers.call("arctic_fill", parquet=files["parquet"], **arctic)
        best = best_of(
            chosen.rounds,
            ours=lambda: timed(lambda: one_symbol(connection, symbol)),
            arctic=lambda: peers.seconds("arctic_hours", **arctic),
            polars=lambda: peers.seconds("polars_hours", parquet=files["parquet"]),
            pandas=lambda: peers.seconds("pandas_hours", feather=files["feather"]),
        )
        for name, against, target in (
            ("arctic", "ArcticDB resample", 0.9),
            ("polars", "polars, Parquet zstd", 0.35),
            ("pandas", "pandas, feather lz4", 0.25),
        ):
            results.add(Row("1h of one symbol-year", against, best["ours"] * 1e3, best[name] * 1e3, target))
        peers.call("chdb_load", folder=str(folder / "chdb"), parquet=str(everything))
        best = best_of(
            max(1, chosen.rounds // 2),
            ours=lambda: timed(lambda: connection.sql("from candles_1h").to_arrow_table()),
            chdb=lambda: peers.seconds("chdb_hours", folder=str(folder / "chdb")),
        )
    work = f"1h of all symbols, {chosen.minutes / 1e6:g} M"
    results.add(Row(work, "chdb", best["ours"] * 1e3, best["chdb"] * 1e3, 0.6))


def measure_pruning(results: Results, chosen: argparse.Namespace, path: Path) -> None:
    """Compares one day of all symbols with the whole: through the view here, through the macro on the oldest DuckDB."""
    _, each = shape(chosen.pruning_minutes)
    day = START + timedelta(minutes=each // 2 // 1440 * 1440)
    until = day + timedelta(days=1)
    whole = "from candles_1h"
    view = f"from candles_1h where open_time >= timestamp '{day}' and open_time < timestamp '{until}'"
    macro = f"from candles(null, '1 hour', '{day}', '{until}')"
    work = f"1h of all symbols, one day of {chosen.pruning_minutes / 1e6:g} M"
    with connect(path) as connection:
        best = best_of(
            max(1, chosen.rounds // 2),
            view=lambda: timed(lambda: connection.sql(view).to_arrow_table()),
            macro=lambda: timed(lambda: connection.sql(macro).to_arrow_table()),
            whole=lambda: timed(lambda: connection.sql(whole).to_arrow_table()),
        )
    for form in ("view", "macro"):
        against = f"the whole, DuckDB {duckdb.__version__}"
        results.add(Row(f"{work}, {form}", against, best[form] * 1e3, best["whole"] * 1e3, 0.1))
    if chosen.without_peers:
        return
    with Worker(environment(chosen.oldest, chosen.data, "oldest", OLDEST)) as oldest:
        best = best_of(
            max(1, chosen.rounds // 2),
            macro=lambda: oldest.seconds("duckdb_rows", path=str(path), sql=macro),
            whole=lambda: oldest.seconds("duckdb_rows", path=str(path), sql=whole),
        )
    results.add(Row(f"{work}, macro", "the whole, oldest DuckDB", best["macro"] * 1e3, best["whole"] * 1e3, 0.1))


if __name__ == "__main__":
    main()
