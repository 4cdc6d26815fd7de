"""Writes what `results/` holds into the tables of README.md here and of both READMEs above; --check only compares."""

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
    """A line of the short table: what, against what, in English and in French, and whose ratios it shows."""

    english: tuple[str, str]
    french: tuple[str, str]
    rows: tuple[tuple[str, str], ...]


_DAILY = "bytes a candle after a year of daily ingests"
_ONCE = "bytes a candle after one ingest"
_YEAR = "1h of one symbol-year"
SHORT = (
    Line(
        ("a symbol-year from the archive into the store, whole process", "freqtrade's archive reader, ccxt's loop"),
        ("un symbole sur un an, de l'archive à l'entrepôt, processus entier", "lecteur d'archive de freqtrade, ccxt"),
        (
            ("archive ingest of one symbol-year", "freqtrade's archive reader"),
            ("archive ingest of one symbol-year", "ccxt's loop"),
        ),
    ),
    Line(
        ("a symbol-month over REST, likewise", "ccxt's loop"),
        ("un symbole sur un mois par REST, de même", "ccxt"),
        (("REST ingest of one symbol-month", "ccxt's loop"),),
    ),
    Line(
        (f"{_YEAR}, from the file to Arrow", "ArcticDB, polars on Parquet, pandas on feather"),
        ("1h d'un symbole sur un an, du fichier à Arrow", "ArcticDB, polars sur Parquet, pandas sur feather"),
        ((_YEAR, "ArcticDB resample"), (_YEAR, "polars, Parquet zstd"), (_YEAR, "pandas, feather lz4")),
    ),
    Line(
        ("1h of all symbols, 10 M minutes", "ClickHouse in process"),
        ("1h de tous les symboles, 10 M de minutes", "ClickHouse dans le processus"),
        (("1h of all symbols, 10 M", "chdb"),),
    ),
    Line(
        ("one day of all symbols at 1h, of 20 M minutes", "the whole"),
        ("un jour de tous les symboles en 1h, sur 20 M de minutes", "le tout"),
        (("1h of all symbols, one day of 20 M, view", "the whole, DuckDB 2.0.0"),),
    ),
    Line(
        ("`gaps` with reasons over 100 M minutes", "one `lead()` scan"),
        ("`gaps` avec motifs sur 100 M de minutes", "un parcours par `lead()`"),
        (("gaps, 100 M", "lead(), DuckDB 2.0.0"),),
    ),
    Line(
        ("`status` over 100 M minutes", "`count, min, max` by symbol"),
        ("`status` sur 100 M de minutes", "`count, min, max` par symbole"),
        (("status, 100 M", "count, min, max by symbol"),),
    ),
    Line(
        ("all checks over 20 M minutes", "one scan of every column"),
        ("tous les contrôles sur 20 M de minutes", "un parcours de toutes les colonnes"),
        (("all 13 checks, 20 M", "one full scan"),),
    ),
    Line(
        ("bytes a candle", "feather lz4, ArcticDB, Parquet zstd"),
        ("octets par chandelle", "feather lz4, ArcticDB, Parquet zstd"),
        ((_ONCE, "feather lz4"), (_ONCE, "ArcticDB"), (_ONCE, "Parquet zstd")),
    ),
    Line(
        ("the same after a year of daily ingests", "likewise"),
        ("de même après un an d'ajouts quotidiens", "de même"),
        ((_DAILY, "feather lz4"), (_DAILY, "ArcticDB"), (_DAILY, "Parquet zstd")),
    ),
)


def main() -> None:
    """Writes the tables, or exits with 1 if one is not what the results say."""
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
    """Each page with the tables that the results make."""
    documents = {name: json.loads((HERE / "results" / f"{name}.json").read_text("utf-8")) for name in SCRIPTS}
    rows = [row for document in documents.values() for row in document["rows"]]
    tables = {
        HERE / "README.md": _long_table(rows, documents),
        ROOT / "README.md": _short_table(rows, 0),
        ROOT / "README.fr.md": _short_table(rows, 1),
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


def _short_table(rows: list[dict[str, Any]], language: int) -> str:
    ratios = {(row["work"], row["against"]): row["ratio"] for row in rows}
    head = ("| work | against | ratio |", "| travail | face à | rapport |")[language]
    lines = [head, "|---|---|---|"]
    for line in SHORT:
        what, against = (line.english, line.french)[language]
        shown = ", ".join(f"{ratios[key]:.2f}" for key in line.rows)
        # In French a comma parts the decimals.
        lines.append(f"| {what} | {against} | {shown.replace('.', ',').replace(', ', ' ; ') if language else shown} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
