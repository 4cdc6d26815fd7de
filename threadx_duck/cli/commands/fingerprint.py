"""``threadx fingerprint`` prints a hash of the candles' values."""

from __future__ import annotations

import click

from threadx_duck.audit.fingerprints import compute_fingerprint
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


@click.command()
@symbols_argument
@start_option
@end_option
@json_option
@pass_app
def fingerprint(app: App, symbols: tuple[str, ...], start: str | None, end: str | None, *, as_json: bool) -> None:
    """Print a hash of the candles' values, by symbol and month and of all.

    Equal candles give equal hashes on any machine, version and order of storage: pin in a notebook what
    its result was computed from. The bytes that are hashed are described in threadx_duck.audit.fingerprints.

    \b
    Examples:
      threadx fingerprint BTCUSDC --start 2024-01-01 --end 2024-03-31
      threadx fingerprint --json | jq -r .sha256
    """
    result = compute_fingerprint(app.store(), symbols, *read_range(start, end))
    if not result.months:
        app.note(f"No candle opens in this range. {what_is_stored(app.store(), symbols)}")
    if as_json:
        print_json({"symbols": result.months, "sha256": result.sha256})
        return
    rows = [(month.symbol, month.month, month.candles, month.sha256) for month in result.months]
    print_table(
        ("symbol", "month", "candles", "sha256"),
        [*rows, ("all", "", sum(row[2] for row in rows), result.sha256)],
        falling=("candles",),
    )
