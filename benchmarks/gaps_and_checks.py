"""Gaps, status and checks over large stores, against the simplest statement that reads the same columns.

Each side of a comparison runs in a process of its own, so that the memory of one does not count for the other.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from datetime import datetime
from pathlib import Path

import duckdb
from common import (
    OLDEST,
    Results,
    Row,
    Worker,
    best_of,
    connect,
    environment,
    make_store,
    parser,
    shape,
    timed,
)  # fmt: skip

from threadx_duck.storage.sqlfiles import list_sql, read_sql

LEAD = """
select symbol, open_time + interval '1 minute' as gap_start, following as gap_end
from (
    select symbol, open_time, lead(open_time) over (partition by symbol order by open_time) as following
    from candles_1m
)
where following > open_time + interval '1 minute'
"""
GROUPED = "select symbol, count(*), min(open_time), max(open_time) from candles_1m group by symbol"
SCAN = """
select
    max(symbol), max(epoch_us(open_time)), sum(open), sum(high), sum(low), sum(close), sum(volume),
    sum(quote_volume), sum(trade_count), sum(taker_buy_volume), sum(taker_buy_quote_volume), bit_xor(request_id),
from candles_1m
"""

HALF_IMPORTED = """
update requests set source = 'import', range_end = range_start
where request_id in (
    select request_id from requests order by symbol, range_start limit (select count(*) // 2 from requests)
)
"""
MINUTES_LEFT = """
select count(*)
from candles_1m
where request_id in (select request_id from requests where source = 'import')
"""


def main() -> None:
    """Measures, prints the table, writes the JSON."""
    options = parser(__doc__ or "", minutes=20e6, rounds=3)
    options.add_argument("--large-minutes", type=lambda text: int(float(text)), default=100_000_000)
    options.add_argument("--oldest", type=Path, help="a Python that has the oldest DuckDB; else one is made")
    options.add_argument("--without-peers", action="store_true", help="measure only what needs no other environment")
    chosen = options.parse_args()
    results = Results("gaps_and_checks", vars(chosen))
    path, large = make_store(chosen.data, chosen.minutes), make_store(chosen.data, chosen.large_minutes)
    measure_gaps(results, chosen, path, chosen.minutes, 0.35)
    measure_gaps(results, chosen, large, chosen.large_minutes, 0.2)
    measure_status(results, chosen, large)
    measure_imports(results, chosen, path)
    measure_checks(results, chosen, path)
    results.finish(chosen.json)


def measure_gaps(results: Results, chosen: argparse.Namespace, path: Path, minutes: int, target: float) -> None:
    """Compares the view gaps, with all its reasons, with one lead() over the same minutes."""
    pythons = {f"DuckDB {duckdb.__version__}": (Path(sys.executable), target)}
    if not chosen.without_peers:
        pythons["oldest DuckDB"] = (environment(chosen.oldest, chosen.data, "oldest", OLDEST), 0.4)
    for version, (python, limit) in pythons.items():
        with Worker(python) as ours, Worker(python) as theirs:
            best = best_of(
                chosen.rounds,
                gaps=lambda: ours.seconds("duckdb_rows", path=path, sql="from gaps", arrow=False),
                lead=lambda: theirs.seconds("duckdb_rows", path=path, sql=LEAD, arrow=False),
            )
            peaks = [worker.call("nothing")["peak"] / 1e6 for worker in (ours, theirs)]
        work = f"gaps, {minutes / 1e6:g} M"
        results.add(Row(work, f"lead(), {version}", best["gaps"] * 1e3, best["lead"] * 1e3, limit))
        if peaks[1]:
            results.add(Row(f"{work}, most memory", f"lead(), {version}", *peaks, 0.4, unit="MB"))


def measure_status(results: Results, chosen: argparse.Namespace, path: Path) -> None:
    """Compares the query of the command status with the aggregates alone."""
    status = read_sql("read/status").statement
    with connect(path) as connection:
        best = best_of(
            chosen.rounds * 2,
            status=lambda: timed(lambda: connection.sql(status, params={"symbols": []}).to_arrow_table()),
            grouped=lambda: timed(lambda: connection.sql(GROUPED).to_arrow_table()),
        )
    work = f"status, {chosen.large_minutes / 1e6:g} M"
    results.add(Row(work, "count, min, max by symbol", best["status"] * 1e3, best["grouped"] * 1e3, 1.2))


def measure_imports(results: Results, chosen: argparse.Namespace, path: Path) -> None:
    """Measures what imports cost status and verify: a store of downloads against the same store, half imported."""
    half = half_imported(path)
    status, ranges = read_sql("read/status").statement, read_sql("comparison/verifiable_ranges").statement
    symbols, _ = shape(chosen.minutes)
    wanted = {
        "symbols": symbols,
        "starts": [datetime(2017, 1, 1)] * len(symbols),
        "ends": [datetime(9999, 1, 1)] * len(symbols),
        "first": datetime(2017, 1, 1),
        "last": datetime(9999, 1, 1),
        "timeframe": "1h",
        "width": "1 hour",
        "grid": "1 hour",
    }
    with connect(path) as downloads, connect(half) as imports:
        (found,) = imports.execute(MINUTES_LEFT).fetchone() or (0,)
        counted = sum(row[6] for row in imports.execute(status, {"symbols": []}).fetchall())
        if counted != found:
            raise RuntimeError(f"status counts {counted:,} unproven minutes, the store has {found:,}")
        best = best_of(
            chosen.rounds * 2,
            grouped=lambda: timed(lambda: downloads.sql(GROUPED).to_arrow_table()),
            status=lambda: timed(lambda: downloads.sql(status, params={"symbols": []}).to_arrow_table()),
            status_half=lambda: timed(lambda: imports.sql(status, params={"symbols": []}).to_arrow_table()),
            ranges=lambda: timed(lambda: downloads.sql(ranges, params=wanted).to_arrow_table()),
            ranges_half=lambda: timed(lambda: imports.sql(ranges, params=wanted).to_arrow_table()),
        )
    grouped, size = best["grouped"] * 1e3, f"{chosen.minutes / 1e6:g} M"
    by_symbol = "count, min, max by symbol"
    half_ms, none_ms = best["status_half"] * 1e3, best["status"] * 1e3
    results.add(Row(f"status, {size}, half imported", "none imported", half_ms, none_ms, None))
    results.add(Row(f"verifiable ranges, {size}", by_symbol, best["ranges"] * 1e3, grouped, None))
    results.add(Row(f"verifiable ranges, {size}, half imported", by_symbol, best["ranges_half"] * 1e3, grouped, None))


def half_imported(path: Path) -> Path:
    """Returns a copy of a store in which half of the requests are imports, which prove nothing; made once and kept."""
    copy = path.with_suffix(".half.duckdb")
    if not copy.exists():
        unfinished = path.with_suffix(".unfinished")
        shutil.copyfile(path, unfinished)
        with duckdb.connect(str(unfinished)) as connection:
            connection.execute(HALF_IMPORTED)
        unfinished.rename(copy)
    return copy


def measure_checks(results: Results, chosen: argparse.Namespace, path: Path) -> None:
    """Compares all checks together with one scan of every column."""
    with connect(path) as connection:
        best = best_of(
            chosen.rounds,
            scan=lambda: timed(lambda: connection.sql(SCAN).fetchall()),
            **{
                file.relation: lambda statement=file.statement: timed(  # type: ignore[misc]
                    lambda: connection.sql(statement).to_arrow_table()
                )
                for file in list_sql("checks")
            },
        )
    scan = best.pop("scan")
    for name, seconds in sorted(best.items(), key=lambda pair: -pair[1]):
        results.add(Row(f"check {name}", "one full scan", seconds * 1e3, scan * 1e3, None))
    work = f"all {len(best)} checks, {chosen.minutes / 1e6:g} M"
    results.add(Row(work, "one full scan", sum(best.values()) * 1e3, scan * 1e3, 12))


if __name__ == "__main__":
    main()
