"""``threadx explain`` shows where one candle comes from."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import click

from threadx_duck.audit.lineage import Explanation, explain_candle
from threadx_duck.candles.timeframes import parse_timeframe
from threadx_duck.candles.times import MINUTE, parse_start
from threadx_duck.cli.context import (
    App,
    counted,
    json_option,
    pass_app,
    symbol_argument,
    timeframes_option,
)
from threadx_duck.cli.empty import what_is_stored
from threadx_duck.cli.numbers import without_noise_of
from threadx_duck.cli.output import print_json, print_table, print_text
from threadx_duck.cli.values import REVISION_COLUMNS, revision_cells
from threadx_duck.texts.visible import visible

_SHOWN = 60

# What falls away of a minute on a narrow terminal, the first of them first.
_FALLING_MINUTE = ("symbol", "request id", "quote volume", "trade count", "volume")


@click.command()
@symbol_argument
@click.argument("time")
@timeframes_option("The candle to explain; of several, --json prints a list.", default=["1m"], show_default=True)
@json_option
@pass_app
def explain(app: App, symbol: str, time: str, timeframes: tuple[str, ...], *, as_json: bool) -> None:
    """Show where the candle of a SYMBOL at a TIME comes from.

    Its values, the minutes behind it, the requests that brought them, what was revised or rejected, and
    for absent minutes the reason. A note says how many minutes were imported and never asked of the exchange.

    \b
    Examples:
      threadx explain BTCUSDC 2024-01-01T10:17
      threadx explain BTCUSDC 2024-01-01T10:17 --timeframe 4h
    """
    store, moment = app.store(), parse_start(time)
    found = [_without_noise(explain_candle(store, symbol, moment, parse_timeframe(label))) for label in timeframes]
    if as_json:
        documents = [dataclasses.asdict(explanation) for explanation in found]
        print_json(documents[0] if len(documents) == 1 else {"timeframes": documents})
    else:
        for number, explanation in enumerate(found):
            if number:
                click.echo()
            _print(app, explanation)
    if not any(explanation.minutes for explanation in found):
        app.note(what_is_stored(store, [symbol]))


def _without_noise(found: Explanation) -> Explanation:
    """Returns an explanation whose derived candle has sums with their shortest digits."""
    if found.timeframe == "1m" or found.candle is None:
        return found
    return dataclasses.replace(found, candle=without_noise_of(found.candle))


def _print(app: App, found: Explanation) -> None:
    due = (found.end_time - found.open_time) // MINUTE
    symbol = visible(found.symbol)
    print_text(
        f"{symbol} {found.timeframe}, {found.open_time:%Y-%m-%d %H:%M} to {found.end_time:%Y-%m-%d %H:%M} UTC: "
        f"{len(found.minutes):,} of {due:,} minutes stored"
    )
    _section("values", _values(found))
    _section("absent minutes", found.absent, ("symbols absent", "symbols asked"))
    if found.timeframe != "1m":
        _section("minutes behind it", [_minute(row) for row in found.minutes[:_SHOWN]], _FALLING_MINUTE)
        if len(found.minutes) > _SHOWN:
            app.note(f"The first {_SHOWN} of {len(found.minutes):,} minutes; --json prints all.")
    _section("requests that speak of it", [_request(row) for row in found.requests])
    changed = [dict(zip(REVISION_COLUMNS, revision_cells(row), strict=True)) for row in found.revisions]
    _section("revisions", changed, ("revised at", "new source", "old source", "applied"))
    _section("rejected rows", [row | {"request_id": str(row["request_id"])} for row in found.rejected])
    if found.unproven:
        was = "was" if found.unproven == 1 else "were"
        app.note(
            f"{found.unproven:,} of {counted(len(found.minutes), 'stored minute')} {was} imported and never asked of "
            "the exchange. Compare them: threadx verify -t 1h --repair. Or ask for them: "
            "threadx ingest --refresh, with their --start."
        )


def _section(title: str, rows: list[dict[str, Any]], falling: Sequence[str] = ()) -> None:
    if rows:
        click.echo(f"\n{title}")
        print_table(
            [name.replace("_", " ") for name in rows[0]],
            [list(row.values()) for row in rows],
            falling=[name for name in falling if name in {column.replace("_", " ") for column in rows[0]}],
            pointed=("old", "new"),
        )


def _values(found: Explanation) -> list[dict[str, Any]]:
    """Returns the candle, and below it the exchange's own candle if that is known."""
    sides = [("ours", found.candle), ("theirs", found.native)]
    rows = [{"side": side, **row} for side, row in sides if row is not None]
    names = [name for name in (rows[0] if rows else {}) if name not in {"symbol", "open_time", "request_id"}]
    return [{name: row.get(name) for name in names} for row in rows]


def _minute(row: dict[str, Any]) -> dict[str, Any]:
    shown = {name: value for name, value in row.items() if not name.startswith("taker_")}
    return shown | {"request_id": str(row["request_id"])}


def _request(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "request_id": str(row["request_id"]),
        "asked at": row["requested_at"],
        "timeframe": row["timeframe"],
        "source": row["source"],
        "conclusive from": row["range_start"],
        "to": row["range_end"],
        "minutes here": row["minutes"],
        "sha256": row["sha256"],
        "url": row["url"],
    }
