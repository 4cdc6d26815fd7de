"""``threadx revisions`` lists the values that later answers changed."""

from __future__ import annotations

import click

from threadx_duck.audit.lineage import list_revisions
from threadx_duck.cli.context import (
    App,
    end_option,
    json_option,
    pass_app,
    read_range,
    start_option,
    symbols_argument,
)
from threadx_duck.cli.empty import what_is_stored
from threadx_duck.cli.output import print_json, print_table
from threadx_duck.cli.values import REVISION_COLUMNS, revision_cells


@click.command()
@symbols_argument
@start_option
@end_option
@json_option
@pass_app
def revisions(app: App, symbols: tuple[str, ...], start: str | None, end: str | None, *, as_json: bool) -> None:
    """List what later answers changed: the old and the new value, and which of them holds.

    A revision that is not applied came from a source that ranks below the stored one. The field candle
    means that the later answer has no such candle.

    \b
    Example:
      threadx revisions BTCUSDC --start 2024-01-01
    """
    rows = list_revisions(app.store(), symbols, *read_range(start, end))
    if not rows:
        app.note(f"Nothing was revised in this range. {what_is_stored(app.store(), symbols)}")
    if as_json:
        print_json({"revisions": rows})
        return
    print_table(
        ("symbol", *REVISION_COLUMNS),
        [(row["symbol"], *revision_cells(row)) for row in rows],
        falling=("revised at", "new source", "old source", "applied"),
        pointed=("old", "new"),
    )
    if rows:
        app.note(f"{len(rows):,} values of {len({(row['symbol'], row['open_time']) for row in rows}):,} candles.")
