"""Writes a page of the docs that a script makes, or with ``--check`` tells whether it is as it would be made."""

from __future__ import annotations

import sys
from pathlib import Path


def write_or_compare(page: Path, made: str, fault: str) -> int:
    """Writes the page and returns 0; with ``--check`` only compares, and returns 1 with ``fault`` if it differs."""
    if "--check" not in sys.argv[1:]:
        page.write_text(made, encoding="utf-8")
        return 0
    if made == page.read_text(encoding="utf-8"):
        return 0
    sys.stderr.write(f"{fault} Run: python docs/{Path(sys.argv[0]).name}\n")
    return 1
