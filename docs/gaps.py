"""Fills ``docs/gaps.md``: three symbols, one outage, and what each step of the view ``gaps`` makes of them.

``python docs/gaps.py`` writes the tables, ``--check`` exits with 1 if the page holds others.
"""

from __future__ import annotations

import re
import sys
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
from rebuilding import write_or_compare

from threadx_duck.storage.sqlfiles import list_definitions, read_sql

PAGE = Path(__file__).resolve().parent / "gaps.md"
ROWS = 6

_START = datetime(2024, 1, 1)
# Minutes of the example without a candle: 3 to 5 everywhere, and one or two of each symbol's own.
_ABSENT = {"BTCUSDC": {3, 4, 5}, "ETHUSDC": {3, 4, 5, 8}, "SOLUSDC": {1, 3, 4, 5, 9}}
_ASKED_UNTIL = {"BTCUSDC": 12, "ETHUSDC": 12, "SOLUSDC": 8}
_REJECTED = ("SOLUSDC", 1)
_MINUTES = 12
_TABLE = re.compile(r"(<!-- (\w+) -->\n).*?(<!-- end -->\n)", re.DOTALL)
_STEP = re.compile(r"^(?:with )?(\w+) as materialized \($", re.MULTILINE)


def example() -> duckdb.DuckDBPyConnection:
    """Returns a store in memory with the candles, requests and the rejected row of the example."""
    connection = duckdb.connect()
    connection.execute("set threads = 1")
    for file in list_definitions():
        connection.execute(file.statement)
    for number, (symbol, absent) in enumerate(_ABSENT.items()):
        for minute in range(_MINUTES):
            if minute not in absent:
                connection.execute(
                    "insert into candles_1m by name select ? as symbol, ?::timestamp as open_time, 1.0 as open, "
                    "1.0 as high, 1.0 as low, 1.0 as close, 1.0 as volume, ? as request_id",
                    [symbol, _START + timedelta(minutes=minute), number],
                )
        connection.execute(
            "insert into requests by name select ? as request_id, ? as symbol, '1m' as timeframe, 'rest' as source, "
            "?::timestamp as range_start, ?::timestamp as range_end, 1 as pages, '' as url, '' as sha256, "
            "1 as rows_received, 1 as rows_added, 0 as rows_revised, 0 as rows_rejected, "
            "?::timestamp as requested_at, 0.1 as seconds",
            [number, symbol, _START, _START + timedelta(minutes=_ASKED_UNTIL[symbol]), _START + timedelta(days=1)],
        )
    symbol, minute = _REJECTED
    connection.execute(
        "insert into rejected_rows by name select ? as symbol, ?::timestamp as minute, '[...]' as raw, "
        "'impossible_price' as reason, 2 as request_id",
        [symbol, _START + timedelta(minutes=minute)],
    )
    return connection


def tables() -> dict[str, str]:
    """Returns the rows of each step, and of the view itself, as tables."""
    statement = read_sql("views/gaps").statement
    query = statement.partition(" as\n")[2]
    body = query[: query.rindex("\n)\nselect\n") + 3]
    with example() as connection:
        made = {name: _table(connection.sql(f"{body}from {name} order by all")) for name in _STEP.findall(query)}
        made["candles"] = _candles()
        made["gaps"] = _table(connection.sql("from gaps order by all"))
    return made


def _candles() -> str:
    lines = [
        f"{symbol}  " + "".join("." if minute in absent else "#" for minute in range(_MINUTES))
        for symbol, absent in _ABSENT.items()
    ]
    return "\n".join(["```", f"minute   {'0123456789' * 2}"[: 9 + _MINUTES], *lines, "```", ""])


def _table(relation: duckdb.DuckDBPyRelation) -> str:
    rows = relation.fetchall()
    lines = ["| " + " | ".join(relation.columns) + " |", "|" + "---|" * len(relation.columns)]
    lines += ["| " + " | ".join(_shown(value) for value in row) + " |" for row in rows[:ROWS]]
    if len(rows) > ROWS:
        lines.append(f"\nand {len(rows) - ROWS} more")
    return "\n".join([*lines, ""])


def _shown(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value:%H:%M}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def page() -> str:
    """Returns the page with its tables rebuilt."""
    made = tables()
    text = PAGE.read_text(encoding="utf-8")
    if lacking := set(made) - {found[2] for found in _TABLE.finditer(text)}:
        raise SystemExit(f"docs/gaps.md has no place for {', '.join(sorted(lacking))}.")
    return _TABLE.sub(lambda found: f"{found[1]}\n{made[found[2]]}\n{found[3]}", text)


if __name__ == "__main__":
    sys.exit(write_or_compare(PAGE, page(), "docs/gaps.md is not what the view does."))
