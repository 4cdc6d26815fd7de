"""``threadx import``: ingests files that lie on disk."""

from __future__ import annotations

import time
from pathlib import Path

import click

from threadx_duck.cli.context import App, ExitCode, counted, json_option, pass_app
from threadx_duck.cli.output import print_json, print_table

_FIELDS = ("file", "status", "source", "symbols", "rows_added", "rows_revised", "rows_rejected", "error")


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path), metavar="FILE...")
@click.option("--symbol", help="The symbol of files that name none.")
@json_option
@pass_app
def import_files(app: App, files: tuple[Path, ...], symbol: str | None, *, as_json: bool) -> None:
    """Ingest files lying on disk: archive zips, CSV in the archive's layout, Parquet.

    A zip with its .CHECKSUM beside it counts as the archive file it is, if the two agree. Anything
    else fills in what is missing but never overrules, nor proves an absence. Parquet has the columns of
    candles_1m; all but the times, the prices and the volume may be left out.

    \b
    Examples:
      threadx import downloads/BTCUSDC-1m-2024-*.zip
      threadx import btc.parquet --symbol BTCUSDC
    """
    from threadx_duck.ingest import IngestionManager

    began = time.monotonic()
    with IngestionManager(app.settings) as manager:
        results = list(manager.import_files(files, symbol=symbol).values())
    added = sum(result.rows_added for result in results)
    seconds = time.monotonic() - began
    if as_json:
        shown = [{name: getattr(result, name) for name in _FIELDS} for result in results]
        print_json({"files": shown, "rows_added": added, "seconds": round(seconds, 3)})
    else:
        print_table(
            ("file", "status", "source", "new", "revised", "rejected"),
            [
                (Path(r.file).name, r.status, r.source or "", r.rows_added, r.rows_revised, r.rows_rejected)
                for r in results
            ],
        )
        for result in results:
            if result.error:
                click.echo(f"threadx: error: {result.error}", err=True)
        app.note(f"{counted(added, 'candle')} in {seconds:.1f} seconds.")
    if any(result.status == "failed" for result in results):
        app.end(ExitCode.FAILED)
