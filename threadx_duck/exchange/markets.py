"""Facts of the exchange that several modules need (binance-spot-api-docs, rest-api.md)."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

# A page of klines holds at most 1000 candles.
PAGE_CANDLES = 1_000

# What one klines call costs whatever its limit, and the weight allowed in a minute, both since 2023-08-25.
KLINES_WEIGHT = 2
WEIGHT_LIMIT = 6_000

# A candle that has only just closed may still be on its way into the exchange's database; ours to choose.
LATE_CANDLES = timedelta(minutes=10)

# REST answers nothing earlier (CHANGELOG of 2024-12-09); the exchange opened half a year later.
FIRST_MINUTE = datetime(2017, 1, 1)


class ExchangeSymbol(NamedTuple):
    """A symbol of the exchange; ``status`` is in its own words, such as ``TRADING`` or ``BREAK`` (delisted)."""

    symbol: str
    status: str
    base: str
    quote: str


# The exchange's longest names have some twenty characters.
_LONGEST_NAME = 100


def listed(entries: Iterable[Iterable[Any]]) -> list[ExchangeSymbol]:
    """Symbols from somebody's list, each once, by name. Raises `ValueError` or `TypeError` for one that can be none."""
    symbols: dict[str, ExchangeSymbol] = {}
    for entry in entries:
        if not isinstance(entry, list):
            raise TypeError("an entry that is no list")
        made = ExchangeSymbol(*entry)
        if not all(isinstance(value, str) and 0 < len(value) <= _LONGEST_NAME for value in made):
            raise ValueError("a name that is no short text")
        if symbols.setdefault(made.symbol, made) != made:
            raise ValueError("a symbol that is listed twice and not alike")
    return sorted(symbols.values())
