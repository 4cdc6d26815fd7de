"""Finds and reads the statements in ``sql/``: one statement per file, called by name.

A file opens with a header of comment lines, then holds one statement::

    -- candles_1m: real, closed, on-grid one-minute candles.
    -- Columns:
    --   symbol: the exchange's string, such as BTCUSDC
    create table if not exists candles_1m (...)

``Parameters:`` and ``Columns:`` open sections of ``name: text`` lines. The command line and BI tools show
the first line; the database stores the lines of ``Columns:`` as comments.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from threadx_duck.errors import SqlFileError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_SECTION = re.compile(r"--\s*(Parameters|Columns|Returns):\s*(.*)$")
_ENTRY = re.compile(r"--   (\$?\w+)(?: [^:]*)?: (.+)$")
_CONTINUED = re.compile(r"--     +(\S.*)$")


@dataclass(frozen=True)
class SqlFile:
    """One statement, with the content of its header.

    ``name`` is the folder and file name without ending, such as ``views/gaps``; ``shown`` is the path in
    error messages; ``title`` is the first header line without the name; ``columns`` and ``parameters`` map
    names to their meaning.
    """

    name: str
    shown: str
    title: str
    columns: dict[str, str]
    parameters: dict[str, str]
    statement: str

    @property
    def folder(self) -> str:
        """The folder in ``sql/`` that contains the file."""
        return self.name.partition("/")[0]

    @property
    def relation(self) -> str:
        """The file name alone; for a view or table file, also the name of the view or table."""
        return self.name.rpartition("/")[2]


def sql_root() -> Traversable:
    """Returns the folder of SQL files: inside the package in a wheel, beside it in a checkout."""
    inside = resources.files("threadx_duck") / "sql"
    return inside if inside.is_dir() else Path(__file__).resolve().parents[2] / "sql"


@cache
def read_sql(name: str) -> SqlFile:
    """Returns the file ``sql/<name>.sql``. Raises `SqlFileError` if it is missing or has no header."""
    try:
        text = (sql_root() / f"{name}.sql").read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise SqlFileError(f"sql/{name}.sql does not exist; reinstall threadx_duck.") from error
    return parse_sql(name, text)


def list_sql(folder: str) -> list[SqlFile]:
    """Returns every file of one folder of ``sql/``, sorted by name."""
    names = sorted(entry.name for entry in (sql_root() / folder).iterdir() if entry.name.endswith(".sql"))
    return [read_sql(f"{folder}/{name.removesuffix('.sql')}") for name in names]


def list_definitions() -> list[SqlFile]:
    """Returns the file of every table, macro and view of a store, in an order in which they can be created."""
    return [file for folder in ("schema", "macros", "views") for file in list_sql(folder)]


def literal(text: str) -> str:
    """Returns a text as a SQL literal, for the few statements that take no parameters."""
    return "'" + text.replace("'", "''") + "'"


def parse_sql(name: str, text: str, shown: str | None = None) -> SqlFile:
    """Splits header and statement. Raises `SqlFileError` if the header does not open with the name.

    ``shown`` is the path in error messages, if the file is not in ``sql/``.
    """
    shown = shown or f"sql/{name}.sql"
    lines = text.splitlines()
    count = next((i for i, line in enumerate(lines) if not line.startswith("--")), len(lines))
    header, statement = lines[:count], "\n".join(lines[count:]).strip().removesuffix(";")
    relation = name.rpartition("/")[2]
    if not header or not header[0].startswith(f"-- {relation}: "):
        raise SqlFileError(f"{shown} must open with '-- {relation}: ' and one sentence.")
    if not statement:
        raise SqlFileError(f"{shown} has no statement.")
    sections = _parse_sections(header[1:])
    return SqlFile(
        name=name,
        shown=shown,
        title=header[0].removeprefix(f"-- {relation}: "),
        columns=sections["Columns"],
        parameters={key.removeprefix("$"): text for key, text in sections["Parameters"].items()},
        statement=statement,
    )


def _parse_sections(header: list[str]) -> dict[str, dict[str, str]]:
    sections: dict[str, dict[str, str]] = {"Parameters": {}, "Columns": {}, "Returns": {}}
    section: dict[str, str] | None = None
    entry = ""
    for line in header:
        if found := _SECTION.match(line):
            section, entry = sections[found[1]], ""
        elif section is not None and (found := _ENTRY.match(line)):
            entry = found[1]
            section[entry] = found[2]
        elif section is not None and entry and (found := _CONTINUED.match(line)):
            section[entry] += " " + found[1]
    return sections
