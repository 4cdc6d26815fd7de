"""The commands that compare: ``verify`` with the exchange, ``diff`` with another store, ``fingerprint``."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click

from threadx_duck.cli.completion import by_commas, complete_timeframe
from threadx_duck.cli.context import (
    App,
    ExitCode,
    StoreType,
    counted,
    end_option,
    json_option,
    pass_app,
    print_error,
    start_option,
    symbols_argument,
)
from threadx_duck.cli.interruption import ending_gently
from threadx_duck.cli.output import print_json, print_table

if TYPE_CHECKING:
    from threadx_duck.audit.differences import Differences
    from threadx_duck.audit.verification import Verification

_SHOWN = 100

_NOTHING_COMPARED = (
    "Nothing could be compared: no closed {} candle of the range has all its minutes stored or known to be absent. "
    "Ingest a longer range, or verify a shorter timeframe."
)


@click.command()
@symbols_argument
@click.option(
    "-t", "--timeframe", "timeframes", required=True, multiple=True, metavar="TF",
    shell_complete=by_commas(complete_timeframe),
    help="Timeframe to verify, such as 5m, 3h, 1d or 1mo; repeat it or use commas for several.",
)  # fmt: skip
@start_option
@end_option
@click.option("--repair", is_flag=True, help="Ask again for what differs; earlier minutes are kept in revisions.")
@json_option
@pass_app
def verify(
    app: App,
    symbols: tuple[str, ...],
    timeframes: tuple[str, ...],
    start: str | None,
    end: str | None,
    *,
    repair: bool,
    as_json: bool,
) -> None:
    """Compare derived candles with the exchange's own; exit with 3 if any differ.

    Compares every closed candle that opens in the range and whose minutes are all stored, imported ones too,
    or known to be absent: prices exactly, sums to the last digits. The others are counted; if there are only
    these, nothing was proved and the command exits with 1. A difference is followed down to days, hours and
    minutes. The exchange's candles are asked for once and kept; --repair asks for both sides again.
    Of several timeframes, --json prints a list under "timeframes".

    \b
    Examples:
      threadx verify -t 1d                          # everything stored, a few requests a symbol
      threadx verify BTCUSDC -t 1h --start 2024-01-01 --repair
    """
    from threadx_duck.audit.comparison import require_native
    from threadx_duck.candles.timeframes import parse_timeframe
    from threadx_duck.download.results import Progress
    from threadx_duck.ingest import IngestionManager

    labels = list(dict.fromkeys(label.strip() for text in timeframes for label in text.split(",")))
    for label in labels:
        require_native(parse_timeframe(label))
    progress = Progress()
    progress.note = app.note  # type: ignore[method-assign]
    with IngestionManager(app.settings, progress=progress) as manager, ending_gently(manager.stop):
        results = [manager.verify(symbols, label, start, end, repair=repair) for label in labels]
    if as_json:
        documents = [dataclasses.asdict(result) for result in results]
        print_json(documents[0] if len(documents) == 1 else {"timeframes": documents})
    else:
        for result in results:
            _print_verification(app, result)
    for symbol, error in {(symbol, error): None for result in results for symbol, error in result.failed.items()}:
        print_error(f"{symbol}: {error}")
    if any(result.failed for result in results):
        app.end(ExitCode.FAILED)
    if any(result.mismatches for result in results):
        app.end(ExitCode.FOUND)
    empty = [result.timeframe for result in results if not result.compared]
    for label in empty:
        click.echo(f"threadx: error: {_NOTHING_COMPARED.format(label)}", err=True)
    if empty:
        app.end(ExitCode.FAILED)


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
    from threadx_duck.audit.fingerprints import compute_fingerprint
    from threadx_duck.candles.times import parse_range

    result = compute_fingerprint(app.store(), symbols, *parse_range(start, end))
    if as_json:
        print_json({"symbols": result.months, "sha256": result.sha256})
        return
    rows = [(month.symbol, month.month, month.candles, month.sha256) for month in result.months]
    print_table(
        ("symbol", "month", "candles", "sha256"), [*rows, ("all", "", sum(row[2] for row in rows), result.sha256)]
    )


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
    from threadx_duck.audit.differences import compare_stores
    from threadx_duck.candles.times import parse_range

    result = compare_stores(app.settings.store, other, symbols, *parse_range(start, end))
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
        _print_differences(app, result)
    if result.ranges:
        app.end(ExitCode.FOUND)


def _print_verification(app: App, result: Verification) -> None:
    if result.mismatches:
        shown = result.mismatches[:_SHOWN]
        print_table(
            ("symbol", "open time", "field", "ours", "theirs", "complete"),
            [(m.symbol, m.open_time, m.field, _exact(m.ours), _exact(m.theirs), m.is_complete) for m in shown],
        )
        if len(result.mismatches) > _SHOWN:
            app.note(f"The first {_SHOWN} of {len(result.mismatches):,} values; --json prints all.")
    if result.causes:
        shown_causes = result.causes[:_SHOWN]
        print_table(
            ("symbol", "from", "to (exclusive)", "differs at", "status", "what is known"),
            [(c.symbol, c.range_start, c.range_end, c.timeframe, c.status, c.note) for c in shown_causes],
        )
        if len(result.causes) > _SHOWN:
            app.note(f"The first {_SHOWN} of {len(result.causes):,} causes; --json prints all.")
    app.note(f"{result.matching:,} of {result.compared:,} {result.timeframe} candles equal the exchange's own.")
    if result.uncompared:
        are, have = ("was", "has") if result.uncompared == 1 else ("were", "have")
        app.note(
            f"{counted(result.uncompared, 'more candle')} {are} not compared: {have} minutes that are neither stored "
            "nor known to be absent. Run: threadx ingest, from an earlier --start if need be."
        )


def _print_differences(app: App, result: Differences) -> None:
    if not result.ranges:
        app.note(f"No difference: {sum(month.candles for month in result.here.months):,} candles are equal.")
        return
    print_table(
        ("symbol", "from", "to (exclusive)", "minutes", "kind"),
        [(r.symbol, r.range_start, r.range_end, r.minutes, r.kind.replace("_", " ")) for r in result.ranges],
    )
    if result.candles:
        print_table(
            ("symbol", "open time", "field", "here", "there"),
            [(c.symbol, c.open_time, c.field, _exact(c.here), _exact(c.there)) for c in result.candles[:_SHOWN]],
        )
        if len(result.candles) > _SHOWN:
            app.note(f"The first {_SHOWN} of {len(result.candles):,} values; --json prints all.")


def _exact(value: float | int | None) -> str:
    """Every digit: what differs may do so in the last ones."""
    return "" if value is None else f"{value:,}" if isinstance(value, int) else repr(value)
