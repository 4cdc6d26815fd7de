r"""Makes harmful characters in a text from outside visible: control characters, line breaks, marks of direction.

Names and messages come from the exchange, from files and from other people's stores. In a terminal or a log, an
escape sequence in them would move the cursor or hide a line; a line break would split one log line in two; a mark of
direction would show a text in the wrong order. Each is written as Python writes it in a string, such as ``\x1b``.
"""

from __future__ import annotations

import re
import unicodedata

# Control characters, lone surrogates, marks without width or of direction, other line breaks.
_HIDDEN_KINDS = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_PLAIN = re.compile(r"[ -~]*")


def visible(text: str) -> str:
    """Returns the text on one line, with every invisible character written out; plain text is unchanged."""
    if _PLAIN.fullmatch(text):
        return text
    return "".join(_written_out(character) for character in text)


def _written_out(character: str) -> str:
    if unicodedata.category(character) in _HIDDEN_KINDS:
        return character.encode("unicode_escape", "surrogatepass").decode("ascii")
    return character
