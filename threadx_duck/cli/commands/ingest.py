"""``threadx ingest`` downloads the minutes that no conclusive request covers."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from threadx_duck.cli.context import (
    App,
    ExitCode,
    counted,
    end_option,
    first_of,
    json_option,
    pass_app,
    print_error,
    start_option,
    symbols_argument,
    timeframes_option,
)
from threadx_duck.cli.interruption import PlainVoice, Voice, ending_gently
from threadx_duck.cli.output import marked, print_json, print_table
from threadx_duck.download.plan import PlannedRequest, SourceChoice
from threadx_duck.download.results import Notes, Progress, SymbolResult
from threadx_duck.errors import UsageError
from threadx_duck.exchange.symbols import TRADING
from threadx_duck.ingest import IngestionManager

# With more symbols than this, the summary lists only symbols with something to report.
_LISTED_ALL = 20

# How many symbols the last line of an interrupted run names.
_NAMED = 5

_FIELDS = ("symbol", "status", "rows_added", "rows_revised", "rows_rejected", "requests", "seconds", "error")
_COSTS = ("requests", "weight", "bytes", "rows")


@click.command()
@symbols_argument
@start_option
@end_option
@click.option(
    "--source",
    type=click.Choice(["auto", "rest", "archive"]),
    default="auto",
    show_default=True,
    help="Where to ask: the archive's files, REST, or for each part whichever is cheapest.",
)
@click.option("--quote", metavar="ASSET", help="Also every symbol that is traded against this asset now, such as USDC.")
@timeframes_option("Validate this one too, such as 1h or 1h,4h.")
@click.option("--refresh", is_flag=True, help="Ask again although it is covered; differences go to revisions.")
@click.option("--dry-run", is_flag=True, help="Print what would be asked, and write nothing; details with --verbose.")
@json_option
@pass_app
def ingest(
    app: App,
    symbols: tuple[str, ...],
    start: str | None,
    end: str | None,
    timeframes: tuple[str, ...],
    *,
    source: SourceChoice,
    quote: str | None,
    refresh: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Download candles: what no conclusive request covers, nothing else.

    Without SYMBOL, every stored one. Without --start, from the last stored minute, or the listing.
    Without --end, to the last closed minute. Running it again continues where it was interrupted.
    With --timeframe, derived candles that changed are compared with the exchange's own; exit with 3
    if any still differ after one repair.

    \b
    Examples:
      threadx ingest BTCUSDC ETHUSDC --start 2024-01-01 --end 2024-03-31
      threadx ingest                  # everything stored, up to now
      threadx ingest --quote USDC --start 2024-01-01
      threadx ingest BTCUSDC --start 2020-01-01 --dry-run
      threadx ingest BTCUSDC --timeframe 1h,1d
    """
    began = time.monotonic()
    # Read first: they say where log lines go, and the bars take those for the terminal.
    settings, is_stopped = app.settings, False
    with _progress(app) as (progress, voice), IngestionManager(settings, progress=progress) as manager:
        try:
            if quote is not None:
                symbols += _traded_against(manager, quote)
            with ending_gently(manager.stop, voice):
                manager.update_assets_batch(
                    symbols,
                    start,
                    end,
                    source=source,
                    target_timeframes=timeframes,
                    refresh=refresh,
                    dry_run=dry_run,
                )
        except KeyboardInterrupt:
            is_stopped = True
    results = list(manager.results.values())
    if is_stopped:
        # After the bars have gone, so that these are the last lines on the screen.
        app.note(_stopped(results))
        app.end(ExitCode.INTERRUPTED)
    seconds = time.monotonic() - began
    if as_json:
        print_json(_document(results, seconds, with_plan=dry_run))
    elif dry_run:
        _print_plan(app, results)
    else:
        _print(app, results, seconds)
    if any(result.status == "failed" for result in results):
        app.end(ExitCode.FAILED)
    if any(found.mismatches for result in results for found in result.timeframes.values()):
        app.end(ExitCode.FOUND)


def _traded_against(manager: IngestionManager, quote: str) -> tuple[str, ...]:
    chosen = manager.list_symbols().select(quote=quote, status=TRADING).symbols
    if not chosen:
        raise UsageError(f"The exchange trades nothing against {quote!r}. See: threadx symbols --status TRADING")
    return tuple(entry.symbol for entry in chosen)


@contextmanager
def _progress(app: App) -> Iterator[tuple[Progress, Voice]]:
    """Shows bars on a terminal; elsewhere only the messages that a person needs. Also gives a signal's voice."""
    if sys.stderr.isatty() and not app.quiet:
        # Imported here, because the import takes 30 ms, and a run from cron draws no bars.
        from threadx_duck.cli.progress import TerminalProgress

        with TerminalProgress() as bars:
            yield bars, bars
    else:
        yield Notes(app.note), PlainVoice(is_quiet=app.quiet)


def _stopped(results: Sequence[SymbolResult]) -> str:
    """Returns what an interrupted run has stored, and how to go on."""
    stored = [result for result in results if result.rows_added]
    if not stored:
        return "Stopped before anything was stored. The same command starts again."
    named = first_of([f"{result.symbol} {result.rows_added:,}" for result in stored], _NAMED)
    added = counted(sum(result.rows_added for result in stored), "new candle")
    of = f"{len(stored):,} of {counted(len(results), 'symbol')}"
    return f"Stopped. {added} of {of} are stored: {named}. The same command goes on from there."


def _document(results: Sequence[SymbolResult], seconds: float, *, with_plan: bool) -> dict[str, Any]:
    return {
        "symbols": [
            {name: getattr(result, name) for name in _FIELDS}
            | {"timeframes": result.timeframes}
            | ({"plan": _plan_of(result)} if with_plan else {})
            for result in results
        ],
        "rows_added": sum(result.rows_added for result in results),
        "requests": sum(result.requests for result in results),
        "seconds": round(seconds, 3),
    }


def _plan_of(result: SymbolResult) -> list[dict[str, Any]]:
    return [
        {
            "source": request.source,
            "range_start": request.wanted.start,
            "range_end": request.wanted.end,
            "missing": sum(part.minutes for part in request.missing),
            **{name: getattr(request, name) for name in ("reason", *_COSTS)},
            "seconds": round(request.seconds, 3),
        }
        for request in (result.plan.requests if result.plan else ())
    ]


def _print_plan(app: App, results: Sequence[SymbolResult]) -> None:
    requests = [request for result in results if result.plan for request in result.plan.requests]
    if app.verbose:
        _print_requests(requests)
    else:
        print_table(
            ("symbol", "status", "from", "to (exclusive)", *_COSTS, "sources"),
            [_plan_line(result) for result in results],
        )
    for result in results:
        if result.error:
            print_error(f"{result.symbol}: {result.error}")
    calls, size = sum(r.requests for r in requests), sum(r.bytes for r in requests)
    app.note(
        f"Planned: {counted(calls, 'request')} for {counted(sum(r.rows for r in requests), 'candle')}, about "
        f"{size / 1e6:,.1f} MB. Nothing was downloaded; what turns out to be missing from a file is asked elsewhere."
    )


def _plan_line(result: SymbolResult) -> tuple[Any, ...]:
    planned = result.plan.requests if result.plan else ()
    span = (planned[0].wanted.start, planned[-1].wanted.end) if planned else (None, None)
    costs = (sum(getattr(request, name) for request in planned) for name in _COSTS)
    sources = dict.fromkeys(request.source for request in planned)
    return (result.symbol, result.status.replace("_", " "), *span, *costs, ", ".join(sources))


def _print_requests(requests: Sequence[PlannedRequest]) -> None:
    columns = ("symbol", "source", "from", "to (exclusive)", *_COSTS, "seconds", "reason")
    print_table(
        columns,
        [
            (r.symbol, r.source, *r.wanted, *(getattr(r, name) for name in _COSTS), round(r.seconds, 2), r.reason)
            for r in requests
        ],
        falling=("reason", "seconds", "weight", "bytes", "rows", "to (exclusive)"),
    )


def _print(app: App, results: Sequence[SymbolResult], seconds: float) -> None:
    columns = ("symbol", "status", "new", "revised", "rejected", "requests", "seconds")
    rows = [
        (
            r.symbol,
            marked(r.status.replace("_", " ")),
            r.rows_added,
            r.rows_revised,
            r.rows_rejected,
            r.requests,
            round(r.seconds, 1),
        )
        for r in results
        if len(results) <= _LISTED_ALL or r.status != "up_to_date"
    ]
    if rows:
        print_table(columns, rows, falling=("seconds", "requests", "revised", "rejected"))
    if len(rows) < len(results):
        app.note(f"{counted(len(results) - len(rows), 'symbol')} up to date.")
    for result in results:
        for label, found in result.timeframes.items():
            values = counted(len(found.mismatches), "value")
            verb = "differs" if len(found.mismatches) == 1 else "differ"
            differing = f", {values} {verb}" if found.mismatches else ""
            uncompared = f", {found.uncompared:,} could not be" if found.uncompared else ""
            app.note(
                f"{result.symbol} {label}: {counted(found.candles, 'candle')}, "
                f"{found.compared:,} compared{uncompared}{differing}"
            )
        if result.error:
            print_error(f"{result.symbol}: {result.error}")
    added = sum(result.rows_added for result in results)
    app.note(f"{counted(added, 'candle')} in {seconds:.1f} seconds.")
