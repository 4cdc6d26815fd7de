"""A store in a folder of its own and an exchange to fill it from, for the tests of evidence."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from threadx_duck.config import get_settings
from threadx_duck.ingest import IngestionManager
from threadx_duck.simulator import LoopbackExchange, Market, SymbolMarket

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
VALUES = [
    "open",
    "high",
    "low",
    "close",
    "volume",
    "quote_volume",
    "trade_count",
    "taker_buy_volume",
    "taker_buy_quote_volume",
]


def write_settings(folder: Path, url: str, *lines: str) -> Path:
    path = folder / "paths.toml"
    path.write_text(
        f'[data.api]\nbase_url = "{url}"\nretry_delay = 0.01\nrate_limit_calls = 100000\n'
        f'[data.archive]\nenabled = false\n[logging]\nlevel = "ERROR"\n' + "\n".join(lines)
    )
    return path


@contextmanager
def manager_of(folder: Path, exchange: LoopbackExchange, *lines: str) -> Iterator[IngestionManager]:
    with IngestionManager(get_settings(write_settings(folder, exchange.url, *lines))) as manager:
        yield manager


def tamper(manager: IngestionManager, statement: str) -> None:
    """Changes the store behind the program's back."""
    with duckdb.connect(str(manager.store.path)) as connection:
        assert connection.execute(statement).fetchall()[0][0] > 0


def rows(manager: IngestionManager, statement: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(manager.store.path)) as connection:
        return connection.execute(statement).fetchall()


def gaps(manager: IngestionManager, *symbols: str) -> list[tuple[Any, ...]]:
    """symbol, gap_start, gap_end, reason."""
    names = "', '".join(symbols)
    return rows(
        manager,
        "select symbol, gap_start, gap_end, reason from gaps "
        + (f"where symbol in ('{names}') " if symbols else "")
        + "order by all",
    )


def edit_candles(market: Market, symbol: str, edit: Any) -> None:
    """Gives a symbol other minutes: ``edit`` takes and returns rows."""
    changed = edit(market[symbol].candles.to_pylist())
    market.replace(symbol, pa.Table.from_pylist(changed, market[symbol].candles.schema))


def restate(market: Market, symbol: str, minute: datetime, **values: float) -> None:
    """The exchange changes one minute of its history, and with it every candle above."""

    def edit(candles: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for row in candles:
            if row["open_time"] == minute:
                row.update(values)
        return candles

    edit_candles(market, symbol, edit)


def without(market: Market, symbol: str, start: datetime, end: datetime) -> None:
    """Takes minutes from one symbol."""
    edit_candles(market, symbol, lambda candles: [row for row in candles if not start <= row["open_time"] < end])


def set_native(market: Market, symbol: str, interval: str, table: pa.Table) -> None:
    """Gives a symbol candles of its own for an interval."""
    old: SymbolMarket = market[symbol]
    market[symbol] = dataclasses.replace(old, native={**old.native, interval: table})


def columns(items: Sequence[Any], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(getattr(item, name) for name in names) for item in items]
