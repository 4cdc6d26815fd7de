"""``threadx compact`` rewrites the store's file, or tidies a lake."""

from __future__ import annotations

import click

from threadx_duck.cli.context import App, counted, json_option, pass_app
from threadx_duck.cli.output import print_json
from threadx_duck.upkeep.compact import compact as compact_store
from threadx_duck.upkeep.losses import give_up_lost, shown_ranges


@click.command()
@click.option(
    "--give-up-lost",
    is_flag=True,
    help="Of a lake that has lost files, first remove what was in them, so that it is asked for again.",
)
@json_option
@pass_app
def compact(app: App, *, give_up_lost: bool, as_json: bool) -> None:
    """Rewrite the store's file: without freed blocks, its candles in order of symbol and time.

    The new file is compared with the old one row by row before it takes its place, in one step. Readers
    go on meanwhile, writers wait. Needs as much free disk as the store.

    Of a lake, rows that lie in the catalog go to files, small files are joined, and states older than a day
    are forgotten with the files that only they need; readers and writers go on. Files that failed or killed
    commits have left go once they are a day old.

    \b
    Examples:
      threadx compact
      threadx compact --give-up-lost
    """
    store = app.store()
    if give_up_lost:
        _give_up_lost(app)
    done = compact_store(store)
    files = dict(zip(("files_before", "files_after"), done.files or (), strict=False))
    if as_json:
        print_json({"bytes_before": done.bytes_before, "bytes_after": done.bytes_after, **files})
    if files:
        app.note(f"{counted(files['files_before'], 'file')} became {files['files_after']:,}.")
    app.note(f"{done.bytes_before / 1e6:,.1f} MB became {done.bytes_after / 1e6:,.1f} MB; nothing in it changed.")


def _give_up_lost(app: App) -> None:
    given = give_up_lost(app.store())
    for file in given.files:
        app.note(f"Gave up {file}: {counted(file.rows, 'row')} of {file.table}.")
    for text in shown_ranges(given.ranges):
        app.note(f"Counts as never asked for: threadx ingest {text}")
    if not given.files and not given.ranges:
        app.note("No file is lost.")
