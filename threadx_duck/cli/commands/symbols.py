"""``threadx symbols`` shows the symbols that the exchange lists."""

from __future__ import annotations

from datetime import timedelta

import click

from threadx_duck.cli.context import App, counted, json_option, pass_app
from threadx_duck.cli.output import print_json, print_table
from threadx_duck.texts.visible import visible


@click.command()
@click.option("--quote", metavar="ASSET", help="Only symbols quoted in this asset, such as USDC.")
@click.option("--status", metavar="STATUS", help="Only symbols of this status, such as TRADING or BREAK.")
@click.option("--names", is_flag=True, help="Print names alone, one a line.")
@click.option("--refresh", is_flag=True, help="Ask the exchange although the kept list is less than a day old.")
@json_option
@pass_app
def symbols(app: App, quote: str | None, status: str | None, *, names: bool, refresh: bool, as_json: bool) -> None:
    """List the exchange's symbols.

    The list is kept in the data folder and asked for again after a day.

    \b
    Examples:
      threadx symbols --quote USDC --status TRADING
      threadx symbols --quote USDC --names | xargs -r threadx ingest --start 30d
    """
    with app.manager() as manager:
        listed = manager.list_symbols(refresh=refresh)
    chosen = listed.select(quote=quote, status=status)
    if as_json:
        rows = [entry._asdict() for entry in chosen.symbols]
        print_json(
            {"symbols": rows, "asked_at": chosen.asked_at, "age_seconds": max(0, round(listed.age.total_seconds()))}
        )
    elif names:
        click.echo("".join(f"{visible(entry.symbol)}\n" for entry in chosen.symbols), nl=False)
    else:
        print_table(("symbol", "status", "base", "quote"), chosen.symbols, falling=("quote", "base"))
    if listed.error:
        app.note(f"The exchange could not be asked again: {listed.error}")
    app.note(f"{counted(len(chosen.symbols), 'symbol')}; the list is {_shown(listed.age)} old.")


def _shown(age: timedelta) -> str:
    minutes = max(0, int(age.total_seconds())) // 60
    if minutes < 1:
        return "less than a minute"
    if minutes < 60:
        return counted(minutes, "minute")
    return counted(minutes // 60, "hour") if minutes < 2_880 else counted(minutes // 1_440, "day")
