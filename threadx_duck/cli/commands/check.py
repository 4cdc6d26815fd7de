"""``threadx check`` runs the consistency checks."""

from __future__ import annotations

from pathlib import Path

import click

from threadx_duck.cli.context import (
    App,
    ExitCode,
    json_option,
    pass_app,
    symbols_argument,
)
from threadx_duck.cli.empty import what_is_stored
from threadx_duck.cli.output import Alarm, print_json, print_table, print_text
from threadx_duck.cli.rows import write_rows
from threadx_duck.cli.values import as_records
from threadx_duck.texts.visible import visible

_SHOWN_FAULTS = 10


@click.command()
@symbols_argument
@click.option(
    "--checks",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Also run the SQL files of this folder.",
)
@json_option
@pass_app
def check(app: App, symbols: tuple[str, ...], folder: Path | None, *, as_json: bool) -> None:
    """Run the consistency checks; exit with 3 if any finds a fault.

    A check is an SQL file that returns the rows which break its rule, symbol and open_time first.

    \b
    Example:
      threadx check BTCUSDC --checks my_checks/
    """
    with app.manager() as manager:
        findings = manager.check(symbols, folder)
        if not manager.stored_symbols():
            app.note(what_is_stored(manager.store))
    total = sum(finding.rows.num_rows for finding in findings)
    if as_json:
        entries = [
            {
                "name": finding.name,
                "description": finding.description,
                "rows": finding.rows.num_rows,
                "found": as_records(finding.rows.slice(0, _SHOWN_FAULTS)),
            }
            for finding in findings
        ]
        print_json({"checks": entries, "rows": total})
    else:
        print_table(
            ("check", "rows", "what it finds"),
            [
                (finding.name, _number(finding.rows.num_rows), finding.description.removeprefix("Finds "))
                for finding in findings
            ],
            falling=("what it finds",),
        )
        for finding in findings:
            if finding.rows.num_rows:
                print_text(f"\n{visible(finding.name)}: the first of {finding.rows.num_rows:,} rows")
                write_rows(finding.rows.slice(0, _SHOWN_FAULTS), "table", None)
    if total:
        app.end(ExitCode.FOUND)


def _number(rows: int) -> int | Alarm:
    return Alarm(rows) if rows else rows
