"""``threadx candles`` prints or writes candles of any timeframe."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import pyarrow as pa

from threadx_duck.cli.context import (
    App,
    choose_form,
    end_option,
    one_or_more,
    pass_app,
    read_range,
    rows_options,
    start_option,
    symbol_argument,
    timeframe_argument,
    timeframes_option,
)
from threadx_duck.cli.empty import what_is_stored
from threadx_duck.cli.rows import write_rows

# What falls away on a terminal too narrow for it, the first of them first; `symbol` is what was typed.
_FALLING = (
    "symbol", "expected_minutes", "taker_buy_quote_volume", "taker_buy_volume", "quote_volume", "minutes",
    "trade_count", "is_complete", "filled_minutes", "volume",
)  # fmt: skip


@click.command()
@symbol_argument
@timeframe_argument
@timeframes_option("Another way to name the timeframe, or more of them.")
@start_option
@end_option
@click.option("--fill", is_flag=True, help="Bridge short gaps with flat candles, counted in filled_minutes.")
@rows_options
@pass_app
def candles(
    app: App,
    symbol: str,
    timeframe: str | None,
    timeframes: tuple[str, ...],
    start: str | None,
    end: str | None,
    form: str | None,
    output: Path | None,
    *,
    fill: bool,
) -> None:
    """Print or write the candles of a SYMBOL and timeframe TF: 1m, 5m, 3h, 1d, 1w, 1mo, any.

    Of several timeframes, a column says which candle is of which.

    \b
    Examples:
      threadx candles BTCUSDC 4h --start 2024-03-01
      threadx candles BTCUSDC 1h,4h --start 30d --json
      threadx candles BTCUSDC 1h -o btc.parquet
    """
    labels = one_or_more(timeframe, timeframes)
    app.require_free(output)
    choose_form(form, output)
    first, last = read_range(start, end)
    with app.manager() as manager:
        tables = [manager.candles(symbol, label, first, last, fill=fill) for label in labels]
    table = tables[0] if len(tables) == 1 else _joined(labels, tables)
    is_stored = "minutes" not in table.column_names
    if note := write_rows(table, form, output, falling=_FALLING, is_stored=is_stored):
        app.note(note)
    if not table.num_rows:
        app.note(f"No candle opens in this range. {what_is_stored(app.store(), [symbol])}")


def _joined(labels: Sequence[str], tables: Sequence[pa.Table]) -> pa.Table:
    """Returns the rows of several timeframes one after the other, with the label of each; 1m lacks some columns."""
    named = [
        table.add_column(1, "timeframe", pa.array([label] * table.num_rows, pa.string()))
        for label, table in zip(labels, tables, strict=True)
    ]
    names = max((table.column_names for table in named), key=len)
    joined = pa.concat_tables(named, promote_options="permissive")
    return joined.select([*names, *(name for name in joined.column_names if name not in names)])
