"""The user name and password that an address may hold: sent to its host, never shown and never kept."""

from __future__ import annotations

import re
from base64 import b64encode
from urllib.parse import unquote, urlsplit

_USER = re.compile(r"(?<=://)[^/?#\s]*@")
_ANY_USER = re.compile(r"(//|^).*@", re.DOTALL)


def without_user(text: str, mark: str = "") -> str:
    """A text, such as an address or a message with some in it, without user names and passwords; ``mark`` for them."""
    return _USER.sub(mark, text)


def without_any_user(text: str) -> str:
    """The same for what somebody meant to be an address and is none: nothing before its last ``@`` stays."""
    return _ANY_USER.sub(r"\1***@", text)


def authorization(url: str) -> str | None:
    """The header value that tells the host of an address its user name and password; None if it has none.

    In UTF-8: requests would send only what Latin-1 can hold.
    """
    parts = urlsplit(url)
    if parts.username is None:
        return None
    user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return f"Basic {b64encode(user.encode()).decode('ascii')}"
