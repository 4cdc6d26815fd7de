"""``threadx candles`` prints or writes candles of any timeframe."""

from __future__ import annotations

from pathlib import Path

import click

from threadx_duck.cli.context import (
    App,
    end_option,
    pass_app,
    rows_options,
    start_option,
    symbol_argument,
    timeframe_argument,
)
from threadx_duck.cli.rows import write_rows

# What falls away on a terminal too narrow for it, the first of them first; `symbol` is what was typed.
_FALLING = (
    "symbol", "expected_minutes", "taker_buy_quote_volume", "taker_buy_volume", "quote_volume", "minutes",
    "trade_count", "is_complete", "filled_minutes", "volume",
)  # fmt: skip


@click.command()
@symbol_argument
@timeframe_argument
@start_option
@end_option
@click.option("--fill", is_flag=True, help="Bridge short gaps with flat candles, counted in filled_minutes.")
@rows_options
@pass_app
def candles(
    app: App,
    symbol: str,
    timeframe: str,
    start: str | None,
    end: str | None,
    form: str | None,
    output: Path | None,
    *,
    fill: bool,
) -> None:
    """Print or write the candles of a SYMBOL and TIMEFRAME: 1m, 5m, 3h, 1d, 1w, 1mo, any.

    \b
    Examples:
      threadx candles BTCUSDC 4h --start 2024-03-01
      threadx candles BTCUSDC 1h -o btc.parquet
    """
    app.require_free(output)
    with app.manager() as manager:
        table = manager.candles(symbol, timeframe, start, end, fill=fill)
    is_stored = "minutes" not in table.column_names
    if note := write_rows(table, form, output, falling=_FALLING, is_stored=is_stored):
        app.note(note)
