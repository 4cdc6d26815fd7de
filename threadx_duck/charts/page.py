"""Builds an HTML page that needs no other file: it contains its style, its scripts and its data."""

from __future__ import annotations

import html
from importlib import resources
from pathlib import Path
from typing import Any

import orjson

from threadx_duck.disk.whole_files import write_whole
from threadx_duck.errors import UsageError

# The page may run its own scripts but send no request to anyone.
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<header><h1>{title}</h1><p>{note}</p></header>
{body}
<script type="application/json" id="data">{data}</script>
<script>
{script}</script>
</body>
</html>
"""


def asset(name: str) -> str:
    """Returns the text of a file in ``charts/assets``."""
    return (resources.files("threadx_duck.charts") / "assets" / name).read_text(encoding="utf-8")


def make_page(*, title: str, note: str, body: str, styles: tuple[str, ...], scripts: tuple[str, ...], data: Any) -> str:
    """Returns the page as HTML.

    ``styles`` and ``scripts`` name assets, ``body`` is HTML, ``title`` and ``note`` are plain text. ``data`` is
    anything that `orjson` can write; the scripts read it from the element ``data``.
    """
    # Inside a script element a browser takes only the end tag and a comment for markup; both begin with "<".
    text = orjson.dumps(data).decode().replace("<", "\\u003c")
    return _PAGE.format(
        policy=html.escape(_POLICY),
        title=html.escape(title),
        note=html.escape(note),
        style="".join(map(asset, styles)),
        body=body,
        data=text,
        script="\n".join(map(asset, scripts)),
    )


def write_page(file: Path, text: str) -> None:
    """Writes a page in one step, and never over a database. Raises `UsageError` if it cannot be written."""
    try:
        write_whole(file, text.encode())
    except OSError as error:
        raise UsageError(f"Cannot write {file}: {error.strerror or error}.") from error
