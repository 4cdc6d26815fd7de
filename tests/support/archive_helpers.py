"""A market of ten weeks, its archive, and what is stored of it: shared by the tests of the archive and of imports."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from threadx_duck.candles.klines import CANDLE_SCHEMA
from threadx_duck.config import Settings, get_settings
from threadx_duck.download.results import Progress, SymbolResult
from threadx_duck.ingest import IngestionManager
from threadx_duck.simulator import LoopbackExchange, Market, generate_market

SYMBOL = "BTCUSDC"
# December 2024 is the last month in milliseconds.
START, END = datetime(2024, 12, 1), datetime(2025, 2, 8, 12)
JANUARY = (datetime(2025, 1, 1), datetime(2025, 2, 1))
OUTAGE = (datetime(2025, 1, 11, 3, 41), datetime(2025, 1, 11, 5))


@cache
def made_market() -> Market:
    """One symbol without a hole, and one listed in the middle of December. Do not change it."""
    listed = {"SOLUSDC": datetime(2024, 12, 20, 8, 30)}
    return generate_market([SYMBOL, "SOLUSDC"], start=START, end=END, listings=listed)


@cache
def market_with_outage() -> Market:
    """The same with minutes in January that do not exist."""
    return generate_market([SYMBOL], start=START, end=END, outages=[OUTAGE])


def serve(market: Market | None = None, **options: Any) -> LoopbackExchange:
    """An exchange to be entered, by a clock at the end of its market."""
    return LoopbackExchange(Market(market or made_market()), now=END.replace(tzinfo=UTC), **options)


def make_settings(folder: Path, url: str, *, archive: str = "", api: str = "", archive_url: str = "") -> Settings:
    """Settings of a folder's own ``paths.toml``: one exchange, and no patience."""
    (folder / "paths.toml").write_text(
        f'[data.api]\nbase_url = "{url}"\nretry_delay = 0.0\nmax_retries = 1\n{api}\n'
        f'[data.archive]\nbase_url = "{archive_url or url}"\n{archive}\n'
    )
    return get_settings(folder / "paths.toml")


class Notes(Progress):
    """Remembers what a person would be told."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str) -> None:
        self.texts.append(text)


def ingest(
    settings: Settings, start: Any = JANUARY[0], end: Any = JANUARY[1], *, symbol: str = SYMBOL, **options: Any
) -> tuple[SymbolResult, list[str]]:
    """One run for one symbol: what became of it, and the notes."""
    notes = Notes()
    with IngestionManager(settings, progress=notes) as manager:
        (result,) = manager.update_assets_batch([symbol], start, end, **options).values()
        return result, notes.texts


def select(settings: Settings, query: str) -> list[tuple[Any, ...]]:
    """Rows of the store."""
    with duckdb.connect(str(settings.store.database), read_only=True) as connection:
        return connection.execute(query).fetchall()


def stored(settings: Settings, symbol: str = SYMBOL) -> pa.Table:
    """Every stored candle of a symbol, in time order."""
    names = ", ".join(CANDLE_SCHEMA.names)
    with duckdb.connect(str(settings.store.database), read_only=True) as connection:
        relation = connection.sql(
            f"select {names} from candles_1m where symbol = $symbol order by open_time", params={"symbol": symbol}
        )
        return relation.to_arrow_table().cast(CANDLE_SCHEMA)


def served(market: Market, start: datetime = JANUARY[0], end: datetime = JANUARY[1], symbol: str = SYMBOL) -> pa.Table:
    """What the exchange has of a range, as it is to be stored."""
    candles = market[symbol].candles
    times = candles["open_time"]
    candles = candles.filter(pc.and_(pc.greater_equal(times, pa.scalar(start)), pc.less(times, pa.scalar(end))))
    candles = candles.append_column("symbol", pa.repeat(pa.scalar(symbol), candles.num_rows))
    return candles.select(CANDLE_SCHEMA.names).cast(CANDLE_SCHEMA).combine_chunks()


def sources(settings: Settings) -> dict[str, int]:
    """How many rows of the ledger each source has."""
    return dict(select(settings, "select source, count(*) from requests group by all"))


def paths(exchange: LoopbackExchange, part: str) -> list[str]:
    """The paths that were asked for and contain a text."""
    return [request.path for request in exchange.requests if part in request.path]


def without(rows: pa.Table, start: datetime, end: datetime) -> pa.Table:
    """Rows of the simulator without those that open in a range."""
    times = rows["open_time"]
    return rows.filter(pc.or_(pc.less(times, pa.scalar(start)), pc.greater_equal(times, pa.scalar(end))))


def with_value(rows: pa.Table, moment: datetime, **values: Any) -> pa.Table:
    """Rows of the simulator with other values in one of them."""
    here = pc.equal(rows["open_time"], pa.scalar(moment))
    for name, value in values.items():
        column = pc.if_else(here, pa.scalar(value).cast(rows[name].type), rows[name])
        rows = rows.set_column(rows.schema.get_field_index(name), name, column)
    return rows
