"""``threadx verify`` compares derived candles with the exchange's own."""

from __future__ import annotations

import dataclasses

import click

from threadx_duck.audit.comparison import require_native
from threadx_duck.audit.verification import Verification
from threadx_duck.candles.timeframes import parse_timeframe
from threadx_duck.cli.context import (
    App,
    ExitCode,
    counted,
    end_option,
    json_option,
    pass_app,
    print_error,
    read_range,
    start_option,
    symbols_argument,
    timeframes_option,
)
from threadx_duck.cli.empty import what_is_stored
from threadx_duck.cli.interruption import PlainVoice, ending_gently
from threadx_duck.cli.output import print_json, print_table

_SHOWN = 100
_NOTHING_COMPARED = (
    "Nothing could be compared: no closed {} candle of the range has all its minutes stored or known to be absent. "
    "Ingest a longer range, or verify a shorter timeframe."
)


@click.command()
@symbols_argument
@timeframes_option(
    "Timeframe to verify, such as 5m, 3h, 1d or 1mo; repeat it or use commas for several.", required=True
)
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
      threadx verify -t 1d        # everything stored, a few requests a symbol
      threadx verify BTCUSDC -t 1h --start 2024-01-01 --repair
    """
    for label in timeframes:
        require_native(parse_timeframe(label))
    first, last = read_range(start, end)
    with app.manager() as manager, ending_gently(manager.stop, PlainVoice(is_quiet=app.quiet)):
        results = [manager.verify(symbols, label, first, last, repair=repair) for label in timeframes]
    if as_json:
        documents = [dataclasses.asdict(result) for result in results]
        print_json(documents[0] if len(documents) == 1 else {"timeframes": documents})
    else:
        for result in results:
            _print_verification(app, result)
    for symbol, error in {(symbol, error): None for result in results for symbol, error in result.failed.items()}:
        print_error(f"{symbol}: {error}")
    empty = [result.timeframe for result in results if not result.compared and not result.failed]
    for label in empty:
        print_error(f"{_NOTHING_COMPARED.format(label)} {what_is_stored(app.store(), symbols)}")
    if any(result.failed for result in results):
        app.end(ExitCode.FAILED)
    if any(result.mismatches for result in results):
        app.end(ExitCode.FOUND)
    if empty:
        app.end(ExitCode.FAILED)


def _print_verification(app: App, result: Verification) -> None:
    if result.mismatches:
        shown = result.mismatches[:_SHOWN]
        print_table(
            ("symbol", "open time", "field", "ours", "theirs", "complete"),
            [(m.symbol, m.open_time, m.field, m.ours, m.theirs, m.is_complete) for m in shown],
            falling=("complete",),
            pointed=("ours", "theirs"),
        )
        if len(result.mismatches) > _SHOWN:
            app.note(f"The first {_SHOWN} of {len(result.mismatches):,} values; --json prints all.")
    if result.causes:
        shown_causes = result.causes[:_SHOWN]
        print_table(
            ("symbol", "from", "to (exclusive)", "differs at", "status", "what is known"),
            [(c.symbol, c.range_start, c.range_end, c.timeframe, c.status, c.note) for c in shown_causes],
            falling=("differs at", "what is known"),
        )
        if len(result.causes) > _SHOWN:
            app.note(f"The first {_SHOWN} of {len(result.causes):,} causes; --json prints all.")
    if result.compared:
        app.note(f"{result.matching:,} of {result.compared:,} {result.timeframe} candles equal the exchange's own.")
    if result.uncompared:
        are, have = ("was", "has") if result.uncompared == 1 else ("were", "have")
        others = f"{'more ' if result.compared else ''}{result.timeframe} candle"
        app.note(
            f"{counted(result.uncompared, others)} {are} not compared: {have} minutes that are neither stored "
            "nor known to be absent. Run: threadx ingest, from an earlier --start if need be."
        )
