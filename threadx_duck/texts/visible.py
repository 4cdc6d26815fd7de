r"""Makes visible what a text from outside could do to a terminal or a log: control characters, line breaks, direction.

Names and messages come from the exchange, from files and from other people's stores. An escape sequence in one of
them would move the cursor or hide a line; a line break would make two log lines of one; a mark of direction would
show a text in another order than it has. Each is written as Python writes it in a string, such as ``\x1b``.
"""

from __future__ import annotations

import re
import unicodedata

# Control characters, surrogates that stand alone, marks without a width or of direction, other line breaks.
_HIDDEN_KINDS = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_PLAIN = re.compile(r"[ -~]*")


def visible(text: str) -> str:
    """The text on one line, with everything in it that could not be seen written out; plain text is as it was."""
    if _PLAIN.fullmatch(text):
        return text
    return "".join(_written_out(character) for character in text)


def _written_out(character: str) -> str:
    if unicodedata.category(character) in _HIDDEN_KINDS:
        return character.encode("unicode_escape", "surrogatepass").decode("ascii")
    return character
