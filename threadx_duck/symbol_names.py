"""Symbols as people type them: read as the exchange writes them, and the nearest name for one that is not there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from threadx_duck.errors import UsageError

# What other programs write between two assets never occurs in a symbol, nor does a small letter of this alphabet;
# of other alphabets the exchange may take either.
_MEANT = {ord(small): small.upper() for small in "abcdefghijklmnopqrstuvwxyz"} | dict.fromkeys(map(ord, "/-"))

# How alike two names must be, from 0 to 1, for one to be offered for the other: BTCUSDX for BTCUSDC, not for ETHUSDC.
_ALIKE = 0.8
_MOST_OFFERED = 3


def plain(typed: str) -> str:
    """A symbol as the exchange writes it: ``btc/usdc`` and ``BTC-USDC`` are ``BTCUSDC``."""
    return typed.strip().translate(_MEANT)


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
    # Imported where it is needed: most commands know all the names that they are given.
    from difflib import get_close_matches

    return get_close_matches(symbol, [name for name in names if name != symbol], n=_MOST_OFFERED, cutoff=_ALIKE)


def offer(symbol: str, names: Iterable[str]) -> str:
    """`` Did you mean BTCUSDC?``, or nothing where no name is like the symbol."""
    found = nearest(symbol, names)
    return f" Did you mean {' or '.join(found)}?" if found else ""


def not_stored(unknown: Iterable[str], stored: Collection[str], how: str = "Run: threadx ingest {}") -> UsageError:
    """The error for symbols of which nothing is stored; ``how`` says what stores them."""
    symbols = list(unknown)
    offers = "".join(offer(symbol, stored) for symbol in symbols[:1])
    return UsageError(f"Not stored: {', '.join(symbols)}.{offers} {how.format(' '.join(symbols))}")
