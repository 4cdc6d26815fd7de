"""The symbols that the exchange lists, as its ``exchangeInfo`` tells them."""

from __future__ import annotations

from typing import Any

from threadx_duck.errors import BadResponseError
from threadx_duck.exchange import ExchangeSymbol
from threadx_duck.sources.http import Answer
from threadx_duck.sources.statuses import read_json


def read_symbols(answer: Answer) -> list[ExchangeSymbol]:
    """The symbols of an ``exchangeInfo`` answer, by name. Raises `BadResponseError`."""
    body: Any = read_json(answer, "its symbols")
    try:
        return sorted(
            ExchangeSymbol(
                str(entry["symbol"]), str(entry["status"]), str(entry["baseAsset"]), str(entry["quoteAsset"])
            )
            for entry in body["symbols"]
        )
    except (KeyError, TypeError) as error:
        raise BadResponseError(f"{answer.url} did not tell its symbols.") from error
