"""``threadx ingest``: downloads what no conclusive request covers."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from threadx_duck.cli.context import (
    App,
    ExitCode,
    counted,
    end_option,
    json_option,
    pass_app,
    start_option,
    symbols_argument,
)
from threadx_duck.cli.output import print_json, print_table

if TYPE_CHECKING:
    from threadx_duck.results import Progress, SymbolResult

_FIELDS = ("symbol", "status", "rows_added", "rows_revised", "rows_rejected", "requests", "seconds", "error")


@click.command()
@symbols_argument
@start_option
@end_option
@click.option("--refresh", is_flag=True, help="Ask again although it is covered; differences go to revisions.")
@click.option("--dry-run", is_flag=True, help="Print what would be asked, and write nothing.")
@json_option
@pass_app
def ingest(
    app: App,
    symbols: tuple[str, ...],
    start: str | None,
    end: str | None,
    *,
    refresh: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Download candles: what no conclusive request covers, nothing else.

    Without SYMBOL, every stored one. Without --start, from the last stored minute, or the listing.
    Without --end, to the last closed minute. Running it again continues where it was interrupted.

    \b
    Examples:
      threadx ingest BTCUSDC ETHUSDC --start 2024-01-01 --end 2024-03-31
      threadx ingest                  # everything stored, up to now
    """
    from threadx_duck.ingest import IngestionManager

    began = time.monotonic()
    with _progress(app) as progress, IngestionManager(app.settings, progress=progress) as manager:
        try:
            manager.update_assets_batch(symbols, start, end, refresh=refresh, dry_run=dry_run)
        except KeyboardInterrupt:
            added = sum(result.rows_added for result in manager.results.values())
            app.note(f"Stopped. {added:,} candles are stored; run the same command to continue.")
            raise
    results = list(manager.results.values())
    seconds = time.monotonic() - began
    if as_json:
        print_json(_document(results, seconds))
    else:
        _print(app, results, seconds)
    if any(result.status == "failed" for result in results):
        app.end(ExitCode.FAILED)


@contextmanager
def _progress(app: App) -> Iterator[Progress]:
    """Bars on a terminal; elsewhere only what a person must know."""
    if sys.stderr.isatty() and not app.quiet:
        from threadx_duck.cli.progress import TerminalProgress

        with TerminalProgress() as bars:
            yield bars
    else:
        from threadx_duck.results import Progress

        progress = Progress()
        progress.note = app.note  # type: ignore[method-assign]
        yield progress


def _document(results: Sequence[SymbolResult], seconds: float) -> dict[str, Any]:
    return {
        "symbols": [{name: getattr(result, name) for name in _FIELDS} for result in results],
        "rows_added": sum(result.rows_added for result in results),
        "requests": sum(result.requests for result in results),
        "seconds": round(seconds, 3),
    }


def _print(app: App, results: Sequence[SymbolResult], seconds: float) -> None:
    columns = ("symbol", "status", "new", "revised", "rejected", "requests", "seconds")
    rows = [
        (
            r.symbol,
            r.status.replace("_", " "),
            r.rows_added,
            r.rows_revised,
            r.rows_rejected,
            r.requests,
            round(r.seconds, 1),
        )
        for r in results
    ]
    print_table(columns, rows)
    for result in results:
        if result.error:
            click.echo(f"threadx: error: {result.symbol}: {result.error}", err=True)
    added = sum(result.rows_added for result in results)
    app.note(f"{counted(added, 'candle')} in {seconds:.1f} seconds.")
