"""Reads the exchange's request weight: how much a minute allows, and how much of it is used."""

from __future__ import annotations

from typing import Any

from threadx_duck.exchange.http import Answer
from threadx_duck.exchange.markets import WEIGHT_LIMIT

# Once this part of the usual limit is used, the exact limit matters.
MATTERS_FROM = WEIGHT_LIMIT // 10
# The exchange allows nobody this much: such a number is a mistake, and would make every request wait or none.
_MOST_WEIGHT = WEIGHT_LIMIT * 100
_MOST_DIGITS = 9


def read_weight_limit(told: Any) -> int:
    """Returns the weight that ``exchangeInfo`` allows per minute. Raises `ValueError` if it has no plausible limit.

    A limit below `MATTERS_FROM` is not plausible: it would make every request wait for the next minute.
    """
    entries = told.get("rateLimits") if isinstance(told, dict) else None
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and _is_weight_of_a_minute(entry):
            limit = entry.get("limit")
            if type(limit) is int and MATTERS_FROM <= limit <= _MOST_WEIGHT:
                return limit
            raise ValueError(f"a weight limit of {str(limit)[:40]!r}")
    raise ValueError("no weight limit")


def used_weight(answer: Answer) -> int:
    """Returns the exchange's own counter of this minute; 0 if an answer has no plausible counter."""
    used = answer.headers.get("X-MBX-USED-WEIGHT-1M", "")
    number = int(used) if used.isascii() and used.isdecimal() and len(used) <= _MOST_DIGITS else 0
    return number if number <= _MOST_WEIGHT else 0


def _is_weight_of_a_minute(entry: dict[str, Any]) -> bool:
    told = entry.get("rateLimitType"), entry.get("interval"), entry.get("intervalNum", 1)
    return told == ("REQUEST_WEIGHT", "MINUTE", 1)
