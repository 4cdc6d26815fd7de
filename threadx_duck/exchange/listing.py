"""Reads the symbols that the exchange lists in its ``exchangeInfo`` answer."""

from __future__ import annotations

from typing import Any

from threadx_duck.errors import BadResponseError
from threadx_duck.exchange.http import Answer
from threadx_duck.exchange.markets import ExchangeSymbol, listed
from threadx_duck.exchange.statuses import read_json

_KEYS = ("symbol", "status", "baseAsset", "quoteAsset")


def read_symbols(answer: Answer) -> list[ExchangeSymbol]:
    """Returns the symbols of an ``exchangeInfo`` answer, sorted by name. Raises `BadResponseError`."""
    body: Any = read_json(answer, "its symbols")
    try:
        return listed([[entry[key] for key in _KEYS] for entry in body["symbols"]])
    except (KeyError, TypeError, ValueError) as error:
        raise BadResponseError(f"{answer.url} did not tell its symbols.") from error
