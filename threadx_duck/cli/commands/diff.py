"""``threadx diff`` compares two stores."""

from __future__ import annotations

import click

from threadx_duck.audit.differences import Differences, compare_stores
from threadx_duck.cli.context import (
    App,
    ExitCode,
    StoreType,
    end_option,
    json_option,
    pass_app,
    read_range,
    start_option,
)
from threadx_duck.cli.empty import what_is_stored
from threadx_duck.cli.output import print_json, print_table

_SHOWN = 100


@click.command()
@click.argument("other", type=StoreType(exists=True, dir_okay=False))
@click.argument("symbols", nargs=-1, metavar="[SYMBOL]...")
@start_option
@end_option
@json_option
@pass_app
def diff(app: App, other: str, symbols: tuple[str, ...], start: str | None, end: str | None, *, as_json: bool) -> None:
    """List the ranges and values in which the store OTHER differs; exit with 3 if it does.

    Compares the candles' values, not which request brought them; neither store is written to.

    \b
    Examples:
      threadx diff backup.duckdb
      threadx --db a.duckdb diff b.duckdb BTCUSDC --start 2024-01-01
      threadx diff "ducklake:postgres:dbname=candles host=db"
    """
    result = compare_stores(app.settings.store, other, symbols, *read_range(start, end))
    if as_json:
        print_json(
            {
                "here": result.here.sha256,
                "there": result.there.sha256,
                "ranges": result.ranges,
                "candles": result.candles,
            }
        )
    else:
        _print_differences(app, result, symbols)
    if result.ranges:
        app.end(ExitCode.FOUND)


def _print_differences(app: App, result: Differences, symbols: tuple[str, ...]) -> None:
    if not result.ranges:
        if not result.here.months:
            app.note(f"Neither store has a candle in this range. {what_is_stored(app.store(), symbols)}")
        app.note(f"No difference: {sum(month.candles for month in result.here.months):,} candles are equal.")
        return
    print_table(
        ("symbol", "from", "to (exclusive)", "minutes", "kind"),
        [(r.symbol, r.range_start, r.range_end, r.minutes, r.kind.replace("_", " ")) for r in result.ranges],
        falling=("minutes",),
    )
    if result.candles:
        print_table(
            ("symbol", "open time", "field", "here", "there"),
            [(c.symbol, c.open_time, c.field, c.here, c.there) for c in result.candles[:_SHOWN]],
            pointed=("here", "there"),
        )
        if len(result.candles) > _SHOWN:
            app.note(f"The first {_SHOWN} of {len(result.candles):,} values; --json prints all.")
