"""``threadx gaps`` lists runs of absent minutes, each with its reason."""

from __future__ import annotations

import click

from threadx_duck.cli.context import (
    App,
    counted,
    end_option,
    json_option,
    pass_app,
    read_range,
    start_option,
    symbols_argument,
)
from threadx_duck.cli.empty import what_is_stored
from threadx_duck.cli.output import print_json, print_table


@click.command()
@symbols_argument
@start_option
@end_option
@json_option
@pass_app
def gaps(app: App, symbols: tuple[str, ...], start: str | None, end: str | None, *, as_json: bool) -> None:
    """List absent minutes, each run with its reason.

    not_downloaded: never asked for. rejected: rows came that cannot be used. outage: the whole
    exchange stood still. not_published: the exchange has no such candles.

    \b
    Example:
      threadx gaps BTCUSDC --start 2024-01-01
    """
    with app.manager() as manager:
        rows = manager.gaps(symbols, *read_range(start, end)).to_pylist()
    if not rows:
        app.note(f"No gap in this range. {what_is_stored(app.store(), symbols)}")
    if as_json:
        print_json({"gaps": rows})
        return
    columns = ("symbol", "from", "to (exclusive)", "missing", "reason", "asked", "absent")
    falling = ("absent", "asked", "to (exclusive)", "reason")
    print_table(columns, [tuple(row.values()) for row in rows], falling=falling)
    missing = sum(row["missing"] for row in rows)
    if rows:
        app.note(f"{counted(len(rows), 'gap')}, {counted(missing, 'minute')}; times are UTC.")
