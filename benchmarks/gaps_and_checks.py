"""Gaps, status and checks over large stores, against the plainest statement that reads the same columns.

Both sides of a comparison run in processes of their own, so that the memory of one is not the other's.
"""

from __future__ import annotations

import argparse
import sys
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
    timed,
)  # fmt: skip

from threadx_duck.sqlfiles import list_sql, read_sql

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
    measure_checks(results, chosen, path)
    results.finish(chosen.json)


def measure_gaps(results: Results, chosen: argparse.Namespace, path: Path, minutes: int, target: float) -> None:
    """The view gaps, with all its reasons, against one lead() over the same minutes."""
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
    """What the command status asks against the aggregates alone."""
    status = read_sql("queries/status").statement
    with connect(path) as connection:
        best = best_of(
            chosen.rounds * 2,
            status=lambda: timed(lambda: connection.sql(status, params={"symbols": []}).to_arrow_table()),
            grouped=lambda: timed(lambda: connection.sql(GROUPED).to_arrow_table()),
        )
    work = f"status, {chosen.large_minutes / 1e6:g} M"
    results.add(Row(work, "count, min, max by symbol", best["status"] * 1e3, best["grouped"] * 1e3, 1.2))


def measure_checks(results: Results, chosen: argparse.Namespace, path: Path) -> None:
    """All checks together against one scan of every column."""
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
