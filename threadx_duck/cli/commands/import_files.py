"""``threadx import`` stores candles from files on disk."""

from __future__ import annotations

import time
from pathlib import Path

import click

from threadx_duck.cli.context import App, ExitCode, counted, json_option, pass_app, print_error
from threadx_duck.cli.output import marked, print_json, print_table
from threadx_duck.errors import UsageError

_COUNTS = ("rows_added", "rows_revised", "rows_rejected", "rows_differing", "rows_absent")
_FIELDS = ("file", "status", "source", "symbols", *_COUNTS, "notes", "error")


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(dir_okay=False), metavar="FILE...")
@click.option("--symbol", help="The symbol of each file that holds one symbol, whatever the file calls it.")
@click.option(
    "--map", "mapping", metavar="OURS=THEIRS,...", help="Which column is which, such as open_time=date,volume=vol."
)
@json_option
@pass_app
def import_files(app: App, files: tuple[str, ...], symbol: str | None, mapping: str | None, *, as_json: bool) -> None:
    """Ingest files lying on disk: archive zips and CSV, tables of other programs, other stores.

    A zip with its .CHECKSUM beside it counts as the archive file it is, if the two agree. Anything else
    fills in what is missing but never overrules the exchange, nor proves an absence. CSV, Parquet, feather
    and JSON need times, prices and the volume, under usual names or those of --map; six or twelve columns
    without names are ccxt's or the exchange's. Times are epochs of any unit or ISO text, UTC unless they have
    an offset. A file that cannot be read exactly is refused, and the others are stored.

    \b
    Examples:
      threadx import downloads/BTCUSDC-1m-2024-*.zip
      threadx import user_data/data/binance/*-1m.feather
      threadx import btc.csv --symbol BTCUSDC --map open_time=time,volume=vol
    """
    if not all(map(str.strip, files)):
        raise UsageError("The name of a file is empty. Name files such as BTCUSDC-1m-2024-01.zip.")
    began = time.monotonic()
    with app.manager() as manager:
        results = list(manager.import_files(files, symbol=symbol, columns=_columns(mapping)).values())
    added = sum(result.rows_added for result in results)
    seconds = time.monotonic() - began
    if as_json:
        shown = [{name: getattr(result, name) for name in _FIELDS} for result in results]
        print_json({"files": shown, "rows_added": added, "seconds": round(seconds, 3)})
    else:
        print_table(
            ("file", "status", "source", "new", "revised", "rejected"),
            [
                (Path(r.file).name, marked(r.status), r.source or "", r.rows_added, r.rows_revised, r.rows_rejected)
                for r in results
            ],
            falling=("source", "rejected", "revised"),
        )
        for result in results:
            for text in result.notes:
                app.note(text)
            if result.rows_differing:
                differing = counted(result.rows_differing, "candle")
                app.note(f"{Path(result.file).name}: {differing} differ from the exchange's; see: threadx revisions")
            if result.rows_absent:
                absent = counted(result.rows_absent, "candle")
                app.note(f"{Path(result.file).name}: {absent} left out; the exchange has none for their minutes.")
            if result.error:
                print_error(result.error)
        app.note(f"{counted(added, 'candle')} in {seconds:.1f} seconds.")
    if any(result.status == "failed" for result in results):
        app.end(ExitCode.FAILED)


def _columns(mapping: str | None) -> dict[str, str]:
    pairs = [part.partition("=") for part in mapping.split(",")] if mapping else []
    if not all(ours.strip() and theirs.strip() for ours, _, theirs in pairs):
        raise UsageError(f"Cannot read --map {mapping!r}. Write OURS=THEIRS, such as open_time=date,volume=vol.")
    return {ours.strip(): theirs.strip() for ours, _, theirs in pairs}
