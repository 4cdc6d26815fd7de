"""Turns the statuses and error codes of the exchange into errors.

Statuses and codes: binance-spot-api-docs, rest-api.md and errors.md. Codes are stable, messages vary.
"""

from __future__ import annotations

from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from math import ceil
from typing import Any
from urllib.parse import urlsplit

import orjson

from threadx_duck.candles.times import format_time
from threadx_duck.errors import (
    BadResponseError,
    BannedError,
    DownloadError,
    HostRefusedError,
    RateLimitedError,
    ServerFailedError,
    UnknownSymbolError,
)
from threadx_duck.exchange.http import Answer
from threadx_duck.texts.urls import without_user

# Every 429 and 418 of the exchange says how long to wait. This is the wait if an answer has no usable header.
_DEFAULT_RETRY_AFTER = 60
_LONGEST_RETRY_AFTER = 7  # digits: the longest ban is three days

# The exchange counts per clock minute. A host that asks to wait longer than this has a reason that waiting does not
# remove.
_MOST_PATIENCE = 15 * 60

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_OF_AN_ADDRESS = 200

_INVALID_SYMBOL = -1121
_ILLEGAL_CHARACTERS = -1100
_BUSY_CODES = frozenset({-1000, -1001, -1003, -1006, -1007, -1008})
_OTHER_HOST = 'Another host may serve you: [data.api] base_url = "https://data-api.binance.vision"'


def raise_for_status(answer: Answer, what: str) -> None:
    """Raises the `DownloadError` for an answer with another status than 200; ``what`` names what was requested."""
    if answer.status == 200:
        return
    refuse_redirect(answer, "[data.api] base_url")
    raise _error_of(answer, what)


def refuse_redirect(answer: Answer, setting: str) -> None:
    """Raises `DownloadError` for a redirect; ``setting`` is the setting in which the user can enter its address."""
    where = answer.headers.get("Location")
    if answer.status in _REDIRECTS and where is not None:
        raise DownloadError(
            f"{urlsplit(answer.url).netloc} sends the request on to {without_user(where)[:_MOST_OF_AN_ADDRESS]!r} "
            f"({answer.status}). Redirects are not followed; see {setting}."
        )


def _error_of(answer: Answer, what: str) -> DownloadError:
    host, status = urlsplit(answer.url).netloc, answer.status
    code, message = _code_and_message(answer)
    match status:
        case 429:
            wait = _retry_after(answer)
            if wait > _MOST_PATIENCE:
                return _wants_too_long(host, status, answer, wait)
            return RateLimitedError(
                f"{host} answered 429 for {what}: over its request limit; it asks to wait {wait} seconds. "
                "Lower [data.api] rate_limit_calls if other programs share this address.",
                wait,
                why_wait=f"{host} is over its request limit (429).",
            )
        case 418:
            until = answer.moment + timedelta(seconds=_retry_after(answer))
            return BannedError(
                f"{host} has banned this address until {format_time(until)} (418): too many requests "
                "after its warnings. Wait until then, and lower [data.api] rate_limit_calls."
            )
        case 403:
            return HostRefusedError(
                f"{host} refused the request for {what} (403): its firewall blocks this address. "
                f"Wait some minutes. {_OTHER_HOST}"
            )
        case 451:
            return HostRefusedError(f"{host} does not serve your location (451). {_OTHER_HOST}")
        case 404:
            return DownloadError(
                f"{host} has nothing at {urlsplit(answer.url).path} (404); see [data.api] klines_endpoint."
            )
    if status >= 500 or code in _BUSY_CODES:
        wait = _retry_after(answer, default=0)
        if wait > _MOST_PATIENCE:
            return _wants_too_long(host, status, answer, wait)
        error = ServerFailedError(f"{host} failed to answer for {what}: {status}{_detail(code, message)}.")
        error.retry_after = wait
        error.why_wait = f"{host} asks to wait ({status})." if wait else ""
        return error
    if code == _INVALID_SYMBOL or (code == _ILLEGAL_CHARACTERS and "'symbol'" in message):
        hint = f" Symbols are written in upper case: {what.upper()}." if what != what.upper() else ""
        return UnknownSymbolError(f"{host} has no symbol {what!r}.{hint}")
    return DownloadError(f"{host} refused the request for {what}: {status}{_detail(code, message)}.")


def _code_and_message(answer: Answer) -> tuple[int, str]:
    """Returns the exchange's own error code and text; 0 and an empty text if the body does not have that form."""
    try:
        body: Any = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return 0, ""
    if not isinstance(body, dict):
        return 0, ""
    code, message = body.get("code"), body.get("msg")
    return (code if isinstance(code, int) else 0), (message if isinstance(message, str) else "")


def _detail(code: int, message: str) -> str:
    return f", {code} {message.rstrip('.')}" if code else ""


def _retry_after(answer: Answer, default: int = _DEFAULT_RETRY_AFTER) -> int:
    """Returns how many seconds an answer asks to wait. The header holds a number of seconds or a time."""
    value = answer.headers.get("Retry-After", "")
    if value.isascii() and value.isdecimal():
        return int(value[:_LONGEST_RETRY_AFTER]) if len(value) <= _LONGEST_RETRY_AFTER else 10**_LONGEST_RETRY_AFTER
    try:
        moment = parsedate_to_datetime(value)
        moment = moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
    except (TypeError, ValueError, OverflowError):
        return default
    seconds = (moment - answer.moment).total_seconds()
    return default if seconds <= 0 else ceil(seconds)


def _wants_too_long(host: str, status: int, answer: Answer, wait: int) -> HostRefusedError:
    until = format_time(answer.moment + timedelta(seconds=wait))
    return HostRefusedError(
        f"{host} answered {status} and asks to wait until {until}, longer than a run waits. Run the same command then. "
        f"{_OTHER_HOST}"
    )


def read_json(answer: Answer, what: str) -> Any:
    """Returns the parsed JSON body. Raises `BadResponseError` for anything else, such as a proxy's page with 200."""
    try:
        return orjson.loads(answer.body)
    except orjson.JSONDecodeError as error:
        start = answer.body[:40].decode("utf-8", "replace")
        raise BadResponseError(
            f"{urlsplit(answer.url).netloc} answered for {what} with something other than JSON: {start!r}."
        ) from error
