"""What the exchange lists: its symbols as ``exchangeInfo`` tells them."""

from __future__ import annotations

from typing import NamedTuple

from threadx_duck.errors import BadResponseError
from threadx_duck.sources.http import Answer
from threadx_duck.sources.statuses import read_json


class ListedSymbol(NamedTuple):
    """A symbol: its assets, and a status such as ``TRADING`` or ``BREAK``; the exchange may add others."""

    symbol: str
    base_asset: str
    quote_asset: str
    status: str


def read_symbols(answer: Answer) -> list[ListedSymbol]:
    """The symbols of an ``exchangeInfo`` answer, by name. Raises `BadResponseError`."""
    body = read_json(answer, "its symbols")
    try:
        listed = [
            ListedSymbol(entry["symbol"], entry["baseAsset"], entry["quoteAsset"], entry["status"])
            for entry in body["symbols"]
        ]
    except (KeyError, TypeError) as error:
        raise BadResponseError(f"{answer.url} did not tell its symbols.") from error
    if not all(isinstance(text, str) for entry in listed for text in entry):
        raise BadResponseError(f"{answer.url} told symbols that are no text.")
    return sorted(listed)
