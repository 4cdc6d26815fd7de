"""A store in a folder of its own and an exchange to fill it from, for the tests of evidence."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from threadx_duck.audit.checks import run_checks
from threadx_duck.cli.main import run
from threadx_duck.config import get_settings
from threadx_duck.ingest import IngestionManager
from threadx_duck.simulator import LoopbackExchange, Market

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
START = datetime(2024, 1, 1)

Rows = list[dict[str, Any]]


def write_settings(folder: Path, url: str, *lines: str) -> Path:
    """Settings for an exchange that serves no archive."""
    path = folder / "paths.toml"
    path.write_text(
        f'[data.api]\nbase_url = "{url}"\nretry_delay = 0.01\nrate_limit_calls = 100000\n'
        '[data.archive]\nenabled = false\n[logging]\nlevel = "ERROR"\n' + "\n".join(lines)
    )
    return path


@contextmanager
def manager_of(folder: Path, exchange: LoopbackExchange, *lines: str) -> Iterator[IngestionManager]:
    """A manager with its own store; ``lines`` are further settings."""
    with IngestionManager(get_settings(write_settings(folder, exchange.url, *lines))) as manager:
        yield manager


def tamper(manager: IngestionManager, statement: str) -> None:
    """Changes the store behind the program's back; fails if nothing changes."""
    with duckdb.connect(str(manager.store.path)) as connection:
        assert connection.execute(statement).fetchall()[0][0] > 0


def rows(manager: IngestionManager, statement: str) -> list[tuple[Any, ...]]:
    """The rows of a statement on the store."""
    with duckdb.connect(str(manager.store.path)) as connection:
        return connection.execute(statement).fetchall()


def gaps(manager: IngestionManager, symbol: str) -> list[tuple[Any, ...]]:
    """gap_start, gap_end, reason of each gap."""
    return rows(manager, f"select gap_start, gap_end, reason from gaps where symbol = '{symbol}' order by gap_start")


def faults(manager: IngestionManager) -> dict[str, int]:
    """The checks that find something, with the number of rows."""
    return {finding.name: finding.rows.num_rows for finding in run_checks(manager.store) if finding.rows.num_rows}


def edit_candles(market: Market, symbol: str, edit: Callable[[Rows], Rows]) -> None:
    """Gives a symbol other minutes."""
    changed = edit(market[symbol].candles.to_pylist())
    market.replace(symbol, pa.Table.from_pylist(changed, market[symbol].candles.schema))


def restate(market: Market, symbol: str, minute: datetime, **values: float) -> None:
    """The exchange changes one minute of its history, and with it every candle above."""

    def edit(candles: Rows) -> Rows:
        for row in candles:
            if row["open_time"] == minute:
                row.update(values)
        return candles

    edit_candles(market, symbol, edit)


def take_out(market: Market, symbol: str, start: datetime, end: datetime) -> None:
    """Takes minutes from one symbol."""
    edit_candles(market, symbol, lambda candles: [row for row in candles if not start <= row["open_time"] < end])


def restate_native(market: Market, symbol: str, interval: str, opened: datetime, **values: float) -> None:
    """The exchange changes one candle of an interval, and leaves its minutes as they are."""
    candles = market.native(symbol, interval).to_pylist()
    serve_native(market, symbol, interval, [row | values if row["open_time"] == opened else row for row in candles])


def serve_native(market: Market, symbol: str, interval: str, candles: Rows) -> None:
    """The exchange answers these candles for an interval, whatever its minutes are."""
    table = pa.Table.from_pylist(candles, market.native(symbol, interval).schema)
    market[symbol] = dataclasses.replace(market[symbol], native={**market[symbol].native, interval: table})


def threadx(folder: Path, *arguments: str) -> int:
    """Runs a command line with the settings of a folder; returns its exit code."""
    try:
        return run(["--config", str(folder / "paths.toml"), *arguments])
    except SystemExit as end:
        return int(end.code or 0)


def columns(items: Sequence[Any], *names: str) -> list[tuple[Any, ...]]:
    """Some attributes of each item."""
    return [tuple(getattr(item, name) for name in names) for item in items]
