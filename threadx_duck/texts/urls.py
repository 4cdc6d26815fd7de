"""The user name and password that an address may contain: sent to its host, never shown and never stored."""

from __future__ import annotations

import re
from base64 import b64encode
from urllib.parse import unquote, urlsplit

_USER = re.compile(r"(?<=://)[^/?#\s]*@")
_ANY_USER = re.compile(r"(//|^).*@", re.DOTALL)


def without_user(text: str, mark: str = "") -> str:
    """Returns a text, such as an address or a message, with ``mark`` in place of user names and passwords."""
    return _USER.sub(mark, text)


def without_any_user(text: str) -> str:
    """Like `without_user`, for a malformed address: removes everything before its last ``@``."""
    return _ANY_USER.sub(r"\1***@", text)


def authorization(url: str) -> str | None:
    """Returns the Authorization header for the user name and password of an address; None if it has none.

    Encodes in UTF-8: requests would send only characters of Latin-1.
    """
    parts = urlsplit(url)
    if parts.username is None:
        return None
    user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return f"Basic {b64encode(user.encode()).decode('ascii')}"
