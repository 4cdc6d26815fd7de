"""Symbols as people type them: read as the exchange writes them, and the nearest name for one that is not there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from difflib import get_close_matches

from threadx_duck.errors import UsageError
from threadx_duck.texts.visible import visible

# What other programs write between two assets never occurs in a symbol, nor does a small letter of this alphabet;
# of other alphabets the exchange may take either.
_MEANT = {ord(small): small.upper() for small in "abcdefghijklmnopqrstuvwxyz"} | dict.fromkeys(map(ord, "/-"))

# How alike two names must be, from 0 to 1, for one to be offered for the other: BTCUSDX for BTCUSDC, not for ETHUSDC.
_ALIKE = 0.8
_MOST_OFFERED = 3

_LONGEST = 40


def plain(typed: str) -> str:
    """A symbol as the exchange writes it: ``btc/usdc`` and ``BTC-USDC`` are ``BTCUSDC``."""
    return typed.strip().translate(_MEANT)


def normalise(typed: str) -> str:
    """The same, of a file's own text. Raises `UsageError`, with the likely name, for what looks like no symbol."""
    symbol = plain(typed)
    if symbol and len(symbol) <= _LONGEST and symbol.replace("_", "").isalnum():
        return symbol
    shown = visible(typed if len(typed) <= _LONGEST else typed[:_LONGEST] + "…")
    likely = likely_symbol(typed)
    advice = f"perhaps {likely} is meant" if likely else "a symbol has letters and digits, such as BTCUSDC"
    raise UsageError(f"'{shown}' is no symbol; {advice}.")


def likely_symbol(text: str) -> str | None:
    """What of a text may be meant as a symbol; None if nothing of it can be."""
    # ccxt writes the currency in which a contract settles behind a colon.
    kept = "".join(filter(str.isalnum, text.partition(":")[0])).upper()
    return kept if 4 <= len(kept) <= 20 else None


def read_symbols(typed: Iterable[str], known: Callable[[], Collection[str]]) -> list[str]:
    """Each symbol once, in the order typed; one that is known just as it was typed is taken so.

    ``known`` is called only where a symbol is not typed as the exchange writes it. Raises `UsageError` for an
    empty one.
    """
    symbols = list(dict.fromkeys(typed))
    if not all(map(plain, symbols)):
        raise UsageError("A symbol is empty. Write one such as BTCUSDC.")
    odd = [symbol for symbol in symbols if symbol != plain(symbol)]
    taken = set(odd).intersection(known()) if odd else set()
    return list(dict.fromkeys(symbol if symbol in taken else plain(symbol) for symbol in symbols))


def nearest(symbol: str, names: Iterable[str]) -> list[str]:
    """The names most like a symbol, the nearest first; none if no name is like it."""
    return get_close_matches(symbol, [name for name in names if name != symbol], n=_MOST_OFFERED, cutoff=_ALIKE)


def offer(symbol: str, names: Iterable[str]) -> str:
    """`` Did you mean BTCUSDC?``, or nothing where no name is like the symbol."""
    found = nearest(symbol, names)
    return f" Did you mean {' or '.join(found)}?" if found else ""


def nothing_stored(store: str) -> UsageError:
    """The error for a store, called by its name, in which there is no candle."""
    return UsageError(f"Nothing is stored in {store} yet. Name a symbol: threadx ingest BTCUSDC --start 2024-01-01")


def not_stored(unknown: Iterable[str], stored: Collection[str], how: str = "Run: threadx ingest {}") -> UsageError:
    """The error for symbols of which nothing is stored; ``how`` says what stores them."""
    symbols = list(unknown)
    offers = "".join(offer(symbol, stored) for symbol in symbols[:1])
    return UsageError(f"Not stored: {', '.join(symbols)}.{offers} {how.format(' '.join(symbols))}")
