"""Takes a symbol as a person or a file writes it: `btcusdc`, `BTC/USDC`, `BTC-USDC` are `BTCUSDC`."""

from __future__ import annotations

from threadx_duck.errors import UsageError
from threadx_duck.visible import visible

_LONGEST = 40


def normalise(typed: str) -> str:
    """The symbol in the exchange's form: capitals, without `/`, `-` and blanks around it.

    Raises `UsageError`, with the likely name, for what no symbol of any market looks like.
    """
    symbol = typed.strip().upper().replace("/", "").replace("-", "")
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
