"""``threadx migrate`` copies the store into a lake, or a lake into a file."""

from __future__ import annotations

from dataclasses import replace

import click
from rich.console import Console
from rich.progress import Progress

from threadx_duck.cli.context import App, StoreType, counted, json_option, pass_app, shown
from threadx_duck.cli.output import print_json
from threadx_duck.config import absolute_data_path, with_database
from threadx_duck.config.address import LakeAddress
from threadx_duck.errors import UsageError
from threadx_duck.storage.store import Store
from threadx_duck.upkeep.migrate import migrate as migrate_store


@click.command()
@click.argument("target", type=StoreType(dir_okay=False))
@click.option("--data-path", metavar="PATH", help="Where a new lake keeps its files: a folder or s3://bucket/candles.")
@json_option
@pass_app
def migrate(app: App, target: str, data_path: str | None, *, as_json: bool) -> None:
    """Copy the store to TARGET, a file or a lake, with all its evidence; compare both before it is done.

    The store itself stays as it is. Ended in the middle, the same command goes on where it was; a target that
    holds anything else is refused.

    \b
    Examples:
      threadx migrate "ducklake:postgres:dbname=candles" --data-path /mnt/lake
      threadx --db "ducklake:postgres:dbname=candles" migrate c.duckdb
    """
    settings = with_database(app.settings.store, target)
    if data_path is not None:
        if not isinstance(settings.database, LakeAddress):
            raise UsageError(f"--data-path is where a lake keeps its files; {target} is one file.")
        settings = replace(settings, database=replace(settings.database, data_path=absolute_data_path(data_path)))
    app.warn_of_secrets(settings.database)
    copy = Store(settings, on_wait=app.note)
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=app.quiet or not console.is_terminal) as bars:
        task = bars.add_task("candles", total=None)
        done = migrate_store(app.store(), copy, lambda copied, total: bars.update(task, completed=copied, total=total))
    if as_json:
        print_json(
            {
                "target": copy.name,
                "symbols": done.symbols,
                "candles": done.candles,
                "candles_copied": done.candles_copied,
                "sha256": done.sha256,
            }
        )
    app.note(
        f"{counted(done.candles, 'candle')} of {counted(done.symbols, 'symbol')} are in {shown(copy.address)}, "
        f"{done.candles_copied:,} of them copied now; candles and evidence are the same on both sides."
    )
