"""Facts of the exchange that several modules need (binance-spot-api-docs, rest-api.md)."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

# A page of klines holds at most 1000 candles.
PAGE_CANDLES = 1_000

# The weight of one klines call, whatever its limit, and the weight allowed per minute; both since 2023-08-25.
KLINES_WEIGHT = 2
WEIGHT_LIMIT = 6_000

# A candle that closed less than this ago may not be in the exchange's database yet. The value is our choice.
LATE_CANDLES = timedelta(minutes=10)

# REST has no earlier candles (CHANGELOG of 2024-12-09); the exchange opened half a year after this.
FIRST_MINUTE = datetime(2017, 1, 1)


class ExchangeSymbol(NamedTuple):
    """A symbol of the exchange; ``status`` is the exchange's word, such as ``TRADING`` or ``BREAK`` (delisted)."""

    symbol: str
    status: str
    base: str
    quote: str


# The exchange's longest names have about twenty characters.
_LONGEST_NAME = 100


def listed(entries: Iterable[Iterable[Any]]) -> list[ExchangeSymbol]:
    """Returns the symbols of a list, each once, sorted by name.

    Raises `ValueError` or `TypeError` for an entry that cannot be a symbol.
    """
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
