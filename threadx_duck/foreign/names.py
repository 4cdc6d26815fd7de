"""Reads the symbol and timeframe of candles from the name of their file."""

from __future__ import annotations

import re
from typing import NamedTuple

from threadx_duck.errors import UsageError
from threadx_duck.texts.symbols import likely_symbol, normalise

# freqtrade's BTC_USDC-5m.feather and BTC_USDT_USDT-1h-futures.feather, this project's BTCUSDC-1h.parquet.
_NAME = re.compile(
    r"(?P<base>[^_/\\]+?)(_(?P<quote>[^_/\\-]+)(?P<settle>_[^/\\-]+)?)?"
    r"-(?P<timeframe>\d+(s|m|h|d|w|mo|Mo|M))(?P<kind>-(futures|mark|funding_rate|index|spot))?"
    r"(-\d{4}-\d{2}(-\d{2})?)?(\.\w+)+",
    re.ASCII,
)

# The archive's names of futures contracts, such as BTCUSD_PERP and BTCUSDT_240628.
_CONTRACT = re.compile(r"(?P<pair>[^_]+)_(PERP|\d{6})")

_TIMEFRAME_AT_END = re.compile(r"[-_ ](1m|1min|minute)$", re.ASCII | re.IGNORECASE)

# The names of most symbols end with one of these.
_QUOTES = ("USDT", "USDC", "FDUSD", "BUSD", "TUSD", "BTC", "ETH", "BNB", "EUR", "TRY")


class FileName(NamedTuple):
    """The symbol and timeframe in a file's name; None for each that the name does not contain."""

    symbol: str | None
    timeframe: str | None


def read_name(name: str) -> FileName:
    """Returns the symbol and timeframe in a name such as ``BTC_USDC-1m.feather``. Raises `UsageError` for futures."""
    found = _NAME.fullmatch(name)
    if found is None:
        return FileName(None, None)
    contract = _CONTRACT.fullmatch(f"{found['base']}_{found['quote']}")
    if found["settle"] or contract or (found["kind"] or "-spot") != "-spot":
        raise UsageError(f"{name} holds no spot candles by its name; one store holds one market.")
    timeframe = found["timeframe"].replace("Mo", "mo").replace("M", "mo")
    return FileName(spot_symbol(name, found["base"] + (found["quote"] or "")), timeframe)


def require_spot(symbol: str, name: str) -> str:
    """Returns the symbol. Raises `UsageError` for a symbol of futures, which has ``_``, ``PERP`` or ``SETTLED``."""
    # PERPUSDT, the token of a protocol, was a spot symbol.
    if "_" not in symbol and "SETTLED" not in symbol and not symbol.endswith("PERP"):
        return symbol
    likely = likely_symbol(symbol.partition("_PERP")[0].partition("SETTLED")[0])
    advice = f" If spot's {likely} is meant, say --symbol {likely}." if likely else ""
    raise UsageError(f"{name} holds {symbol}, which only futures are called; this store holds spot candles.{advice}")


def spot_symbol(name: str, typed: str) -> str:
    """The symbol that a text of a file is. Raises `UsageError`, with the file's name, for what is none of spot's."""
    try:
        symbol = normalise(typed)
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from error
    return require_spot(symbol, name)


def require_symbol(name: str, symbol: str | None) -> str:
    """Returns the symbol. If there is none, raises `UsageError` that says how to name it."""
    if symbol is None:
        stem = likely_symbol(_TIMEFRAME_AT_END.sub("", name.partition(".")[0])) or ""
        # Never the symbol of another market as an example: a copied line would store this file's candles as its.
        example = stem if stem.endswith(_QUOTES) and stem not in _QUOTES else "SYMBOL"
        raise UsageError(f"{name} names no symbol. Say which: threadx import {name} --symbol {example}")
    return symbol
