"""Turns typed symbols into the form of the exchange, and finds the nearest name for an unknown symbol."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from difflib import get_close_matches

from threadx_duck.errors import UsageError
from threadx_duck.texts.visible import visible

# A symbol never contains the marks that other programs write between two assets, or a small Latin letter. In other
# alphabets the exchange may use small and capital letters.
_MEANT = {ord(small): small.upper() for small in "abcdefghijklmnopqrstuvwxyz"} | dict.fromkeys(map(ord, "/-"))

# The least similarity, from 0 to 1, at which one name is offered for another: BTCUSDC for BTCUSDX, not ETHUSDC.
_ALIKE = 0.8
_MOST_OFFERED = 3

_LONGEST = 40


def plain(typed: str) -> str:
    """Returns a symbol as the exchange writes it: ``BTCUSDC`` for ``btc/usdc`` and ``BTC-USDC``."""
    return typed.strip().translate(_MEANT)


def normalise(typed: str) -> str:
    """Like `plain`, for a text from a file. Raises `UsageError`, with the likely name, if it is not a symbol."""
    symbol = plain(typed)
    if symbol and len(symbol) <= _LONGEST and symbol.replace("_", "").isalnum():
        return symbol
    shown = visible(typed if len(typed) <= _LONGEST else typed[:_LONGEST] + "…")
    likely = likely_symbol(typed)
    advice = f"perhaps {likely} is meant" if likely else "a symbol has letters and digits, such as BTCUSDC"
    raise UsageError(f"'{shown}' is no symbol; {advice}.")


def likely_symbol(text: str) -> str | None:
    """Returns the part of a text that may be meant as a symbol; None if no part can be."""
    # ccxt writes the settlement currency of a contract after a colon.
    kept = "".join(filter(str.isalnum, text.partition(":")[0])).upper()
    return kept if 4 <= len(kept) <= 20 else None


def read_symbols(typed: Iterable[str], known: Callable[[], Collection[str]]) -> list[str]:
    """Returns each symbol once, as the exchange writes it, in the order typed.

    A symbol that is known exactly as typed stays unchanged. ``known`` is called only if a symbol is not typed as the
    exchange writes it. Raises `UsageError` for an empty symbol.
    """
    symbols = list(dict.fromkeys(typed))
    if not all(map(plain, symbols)):
        raise UsageError("A symbol is empty. Write one such as BTCUSDC.")
    odd = [symbol for symbol in symbols if symbol != plain(symbol)]
    taken = set(odd).intersection(known()) if odd else set()
    return list(dict.fromkeys(symbol if symbol in taken else plain(symbol) for symbol in symbols))


def nearest(symbol: str, names: Iterable[str]) -> list[str]:
    """Returns up to three names similar to a symbol, the nearest first; an empty list if no name is similar."""
    return get_close_matches(symbol, [name for name in names if name != symbol], n=_MOST_OFFERED, cutoff=_ALIKE)


def offer(symbol: str, names: Iterable[str]) -> str:
    """Returns `` Did you mean BTCUSDC?``, or an empty text if no name is similar to the symbol."""
    found = nearest(symbol, names)
    return f" Did you mean {' or '.join(found)}?" if found else ""


def nothing_stored(store: str) -> UsageError:
    """Returns the error for a store without candles; ``store`` is its name."""
    return UsageError(f"Nothing is stored in {store} yet. Name a symbol: threadx ingest BTCUSDC --start 2024-01-01")


def not_stored(unknown: Iterable[str], stored: Collection[str], how: str = "Run: threadx ingest {}") -> UsageError:
    """Returns the error for symbols that are not stored; ``how`` says which command stores them."""
    symbols = list(unknown)
    offers = "".join(offer(symbol, stored) for symbol in symbols[:1])
    return UsageError(f"Not stored: {', '.join(symbols)}.{offers} {how.format(' '.join(symbols))}")
