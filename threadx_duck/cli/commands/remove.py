"""``threadx remove`` deletes candles together with their evidence."""

from __future__ import annotations

import click

from threadx_duck.candles.ranges import TimeRange
from threadx_duck.candles.times import parse_range
from threadx_duck.cli.context import App, counted, end_option, pass_app, shown, start_option, symbol_argument
from threadx_duck.errors import UsageError
from threadx_duck.ledger.remove import count_candles, remove_candles


@click.command()
@symbol_argument
@start_option
@end_option
@click.option("--yes", is_flag=True, help="Do it; without this the command only says what it would delete.")
@pass_app
def remove(app: App, symbol: str, start: str | None, end: str | None, *, yes: bool) -> None:
    """Delete the candles of SYMBOL and their evidence, all of them or those of a range.

    What is removed counts as never asked for: the next ingest of that range downloads it again.

    \b
    Examples:
      threadx remove BTCUSDC --start 2024-03-01 --end 2024-03-31 --yes
      threadx remove BTCUSDC --yes
    """
    first, last = parse_range(start, end)
    span = None if first is None and last is None else TimeRange.of(first, last)
    store = app.store()
    if yes:
        store.upgrade_first()
    count = count_candles(store, symbol, span)
    if not yes:
        raise UsageError(f"This would delete {counted(count, 'candle')} of {symbol}. Add --yes to do it.")
    removed = remove_candles(store, symbol, span)
    app.note(f"Deleted {counted(removed, 'candle')} of {symbol} from {shown(store.address)}.")
