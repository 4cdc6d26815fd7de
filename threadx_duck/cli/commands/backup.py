"""``threadx backup`` makes a verified copy of the store."""

from __future__ import annotations

from pathlib import Path

import click

from threadx_duck.cli.context import App, json_option, pass_app
from threadx_duck.cli.output import print_json
from threadx_duck.upkeep.backup import back_up


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@json_option
@pass_app
def backup(app: App, path: Path, *, as_json: bool) -> None:
    """Make a verified copy of the store at PATH; in a folder, a file named after the store and the time.

    Its bytes are compared and every row of it is read once. An existing file is never replaced.

    To restore, end whatever has the store open and put the backup in its place:

    \b
      rm -f data/threadx.duckdb.wal
      cp backups/threadx-2024-03-01T000000Z.duckdb data/threadx.duckdb
      threadx doctor
      threadx ingest                  # what came since the backup

    \b
    Examples:
      threadx backup backups/
      threadx backup /mnt/usb/candles.duckdb
    """
    made = back_up(app.store(), app.settings.store, path.absolute())
    if as_json:
        print_json({"path": str(made.path), "bytes": made.bytes, "sha256": made.sha256})
    app.note(f"Copied {made.bytes / 1e6:,.1f} MB to {made.path} and read it back; SHA-256 {made.sha256}.")
