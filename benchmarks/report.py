"""Writes the tables of README.md here and of docs/speed.md from the files in `results/`; --check only compares."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
SCRIPTS = ("archive", "queries", "verify", "gaps_and_checks", "size", "budget", "start_up", "growth")


class Line(NamedTuple):
    """A line of the short table: the work, the other side, and the results whose ratios it shows."""

    work: str
    against: str
    rows: tuple[tuple[str, str], ...]


_DAILY = "bytes per candle after a year of daily ingests"
_ONCE = "bytes per candle after one ingest"
_YEAR = "1h of one symbol-year"
SHORT = (
    Line(
        "a symbol-year from the archive into the store, whole process",
        "freqtrade's archive reader, ccxt's loop",
        (
            ("archive ingest of one symbol-year", "freqtrade's archive reader"),
            ("archive ingest of one symbol-year", "ccxt's loop"),
        ),
    ),
    Line(
        "a symbol-month over REST, likewise",
        "ccxt's loop",
        (("REST ingest of one symbol-month", "ccxt's loop"),),
    ),
    Line(
        f"{_YEAR}, from the file to Arrow",
        "ArcticDB, polars on Parquet, pandas on feather",
        ((_YEAR, "ArcticDB resample"), (_YEAR, "polars, Parquet zstd"), (_YEAR, "pandas, feather lz4")),
    ),
    Line(
        "1h of all symbols, 10 M minutes",
        "ClickHouse in process",
        (("1h of all symbols, 10 M", "chdb"),),
    ),
    Line(
        "one day of all symbols at 1h, of 20 M minutes",
        "the whole",
        (("1h of all symbols, one day of 20 M, view", "the whole, DuckDB 2.0.0"),),
    ),
    Line(
        "`gaps` with reasons over 100 M minutes",
        "one `lead()` scan",
        (("gaps, 100 M", "lead(), DuckDB 2.0.0"),),
    ),
    Line(
        "`status` over 100 M minutes",
        "`count, min, max` by symbol",
        (("status, 100 M", "count, min, max by symbol"),),
    ),
    Line(
        "all checks over 20 M minutes",
        "one scan of every column",
        (("all 13 checks, 20 M", "one full scan"),),
    ),
    Line(
        "bytes per candle",
        "feather lz4, ArcticDB, Parquet zstd",
        ((_ONCE, "feather lz4"), (_ONCE, "ArcticDB"), (_ONCE, "Parquet zstd")),
    ),
    Line(
        "the same after a year of daily ingests",
        "likewise",
        ((_DAILY, "feather lz4"), (_DAILY, "ArcticDB"), (_DAILY, "Parquet zstd")),
    ),
)


def main() -> None:
    """Writes the tables, or exits with 1 if one differs from the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a table is out of date")
    options = parser.parse_args()
    outdated = []
    for page, text in pages().items():
        if page.read_text(encoding="utf-8") == text:
            continue
        outdated.append(page.relative_to(ROOT))
        if not options.check:
            page.write_text(text, encoding="utf-8")
    for name in outdated:
        sys.stdout.write(f"{name} {'differs from results/' if options.check else 'written'}\n")
    sys.exit(bool(outdated and options.check))


def pages() -> dict[Path, str]:
    """Returns the text of each page with its tables renewed."""
    documents = {name: json.loads((HERE / "results" / f"{name}.json").read_text("utf-8")) for name in SCRIPTS}
    rows = [row for document in documents.values() for row in document["rows"]]
    tables = {
        HERE / "README.md": _long_table(rows, documents),
        ROOT / "docs" / "speed.md": _short_table(rows),
    }
    return {page: _with_table(page.read_text(encoding="utf-8"), table) for page, table in tables.items()}


def _with_table(text: str, table: str) -> str:
    return re.sub(r"(<!-- results -->\n).*?(\n<!-- end of results -->)", rf"\1\n{table}\n\2", text, flags=re.DOTALL)


def _long_table(rows: list[dict[str, Any]], documents: dict[str, Any]) -> str:
    loads = ", ".join(f"{name} {document['machine']['load']:.1f}" for name, document in documents.items())
    machine = documents["queries"]["machine"]
    versions = f"DuckDB {machine['duckdb']}, pyarrow {machine['pyarrow']}, Python {machine['python']}"
    lines = [
        f"{machine['date'][:10]}; {versions}; {machine['cores']} cores, {machine['system']}.",
        f"Load of the machine at the end of each script: {loads}.",
        "",
        "| work | against | ours | theirs | ratio | target | |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        target = "" if row["target"] is None else f"{'>=' if row['at_least'] else '<='} {row['target']:g}"
        verdict = {True: "met", False: "**missed**", None: ""}[row["met"]]
        sides = " | ".join(f"{_rounded(row[side])} {row['unit']}" for side in ("ours", "theirs"))
        lines.append(f"| {row['work']} | {row['against']} | {sides} | {row['ratio']:.2f} | {target} | {verdict} |")
    return "\n".join(lines)


def _rounded(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def _short_table(rows: list[dict[str, Any]]) -> str:
    ratios = {(row["work"], row["against"]): row["ratio"] for row in rows}
    lines = ["| work | against | ratio |", "|---|---|---|"]
    for line in SHORT:
        shown = ", ".join(f"{ratios[key]:.2f}" for key in line.rows)
        lines.append(f"| {line.work} | {line.against} | {shown} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
