"""``threadx status`` shows what is stored."""

from __future__ import annotations

import click

from threadx_duck.audit.coverage import show_percent
from threadx_duck.candles.times import MINUTE, utc_now
from threadx_duck.cli.context import (
    App,
    ExitCode,
    counted,
    first_of,
    json_option,
    pass_app,
    shown,
    symbols_argument,
)
from threadx_duck.cli.empty import what_is_stored
from threadx_duck.cli.output import print_json, print_table
from threadx_duck.cli.values import read_age

_SHOWN_SYMBOLS = 10


@click.command()
@symbols_argument
@click.option("--max-age", metavar="AGE", help="Exit with 3 if a symbol's last candle is older, such as 10m, 2h or 1d.")
@json_option
@pass_app
def status(app: App, symbols: tuple[str, ...], max_age: str | None, *, as_json: bool) -> None:
    """Show what is stored: first and last candle, how many, how many are missing.

    \b
    Examples:
      threadx status
      threadx status BTCUSDC --max-age 10m || echo stale
    """
    age = None if max_age is None else read_age(max_age)
    with app.manager() as manager:
        rows, store = manager.status(symbols).to_pylist(), manager.store
    if not rows:
        app.note(what_is_stored(store))
    candles = sum(row["candles"] for row in rows)
    size, info = store.bytes, store.info()
    copied_at, origin = (info.published_at, info.published_from) if info else (None, None)
    if as_json:
        copied = {"published_at": copied_at, "published_from": origin} if origin else {}
        print_json({"symbols": rows, "candles": candles, "bytes": size, **copied})
    else:
        columns = ("symbol", "first candle", "last candle", "candles", "missing", "complete", "last asked")
        print_table(
            columns,
            [
                (
                    row["symbol"],
                    row["first_open_time"],
                    row["last_open_time"],
                    row["candles"],
                    row["missing"],
                    show_percent(row["complete"]),
                    row["last_requested_at"],
                )
                for row in rows
            ],
            falling=("last asked", "first candle", "complete", "last candle"),
        )
        app.note(f"{counted(candles, 'candle')}, {size / 1e6:,.1f} MB in {shown(store.address)}; times are UTC.")
        unproven = {row["symbol"]: row["unproven"] for row in rows if row["unproven"]}
        if unproven:
            named = first_of([f"{symbol} {count:,}" for symbol, count in unproven.items()], _SHOWN_SYMBOLS)
            app.note(
                f"Imported and never asked of the exchange: {counted(sum(unproven.values()), 'minute')} "
                f"({named}). Compare them: threadx verify -t 1h --repair. Or ask for them: "
                "threadx ingest --refresh, with their --start."
            )
        if copied_at is not None:
            app.note(f"A read copy of {origin}, taken {(utc_now() - copied_at) // MINUTE:,} minutes ago.")
    if age is not None:
        stale = [row["symbol"] for row in rows if row["last_open_time"] + MINUTE < utc_now() - age]
        if stale:
            app.note(f"Older than {max_age}: {', '.join(stale)}. Run: threadx ingest")
            app.end(ExitCode.FOUND)
