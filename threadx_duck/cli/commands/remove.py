"""``threadx remove`` deletes candles together with their evidence."""

from __future__ import annotations

import click

from threadx_duck.candles.ranges import TimeRange
from threadx_duck.cli.context import (
    App,
    counted,
    end_option,
    json_option,
    pass_app,
    read_range,
    shown,
    start_option,
    symbol_argument,
)
from threadx_duck.cli.output import print_json, print_table
from threadx_duck.errors import UsageError
from threadx_duck.ledger.remove import count_candles, remove_candles


@click.command()
@symbol_argument
@start_option
@end_option
@click.option("--yes", is_flag=True, help="Do it; without this the command only says what it would delete.")
@click.option("--dry-run", is_flag=True, help="Say what would be deleted, and end with 0.")
@json_option
@pass_app
def remove(
    app: App, symbol: str, start: str | None, end: str | None, *, yes: bool, dry_run: bool, as_json: bool
) -> None:
    """Delete the candles of SYMBOL and their evidence, all of them or those of a range.

    What is removed counts as never asked for: the next ingest of that range downloads it again. Without --yes
    nothing is removed, and the command ends with 2.

    \b
    Examples:
      threadx remove BTCUSDC --start 2024-03-01 --end 2024-03-31 --yes
      threadx remove BTCUSDC --dry-run
    """
    if yes and dry_run:
        raise click.UsageError("--yes and --dry-run exclude each other.", click.get_current_context())
    first, last = read_range(start, end)
    span = None if first is None and last is None else TimeRange.of(first, last)
    store = app.store()
    if yes:
        store.upgrade_first()
    count = count_candles(store, symbol, span)
    (name,) = store.named([symbol])
    removed = remove_candles(store, symbol, span) if yes else 0
    if as_json:
        print_json({"symbol": name, "start": first, "end": last, "candles": removed if yes else count, "removed": yes})
    elif not yes:
        columns = ("symbol", "from", "to (exclusive)", "candles to remove")
        print_table(columns, [(name, first or "first stored", last or "last stored", count)])
    if yes:
        app.note(f"Deleted {counted(removed, 'candle')} of {name} from {shown(store.address)}.")
    elif dry_run:
        app.note("Nothing was removed.")
    else:
        raise UsageError(f"Nothing was removed: add --yes to delete {counted(count, 'candle')} of {name}.")
