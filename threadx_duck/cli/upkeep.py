"""The commands that keep the store's file: ``publish``, ``compact``, ``backup``, ``doctor``."""

from __future__ import annotations

from pathlib import Path

import click

from threadx_duck.cli.context import App, ExitCode, counted, json_option, pass_app
from threadx_duck.cli.output import print_json
from threadx_duck.errors import UsageError
from threadx_duck.texts.visible import visible

_MARKS = {"ok": "ok     ", "note": "note   ", "problem": "PROBLEM"}


@click.command()
@click.argument("path", required=False, type=click.Path(path_type=Path))
@json_option
@pass_app
def publish(app: App, path: Path | None, *, as_json: bool) -> None:
    """Copy the store to PATH for readers, in one step; without PATH, to [data.store] read_copy.

    Tools that stay connected to the store itself keep ingests waiting. Connected to a read copy they hold
    up nothing: they keep the copy they opened until they connect again. The view of its age is the table
    store_info. With [data.store] read_copy set, every ingest publishes.

    \b
    Examples:
      threadx publish /srv/bi/candles.duckdb
      threadx publish
    """
    from threadx_duck.upkeep.publish import publish as publish_copy

    settings, store = app.settings.store, app.store()
    target = path or (Path(settings.read_copy) if settings.read_copy else None)
    if target is None and store.lake is None:
        raise UsageError("Name a file: threadx publish PATH, or set [data.store] read_copy.")
    copy = publish_copy(store, settings, (target or Path()).absolute())
    if as_json:
        print_json({"path": str(copy.path), "published_at": copy.published_at, "bytes": copy.bytes})
    app.note(f"Published {copy.bytes / 1e6:,.1f} MB to {copy.path}.")


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
    from threadx_duck.upkeep.maintenance import compact as compact_store

    store = app.store()
    if give_up_lost:
        _give_up_lost(app)
    done = compact_store(store)
    files = {"files_before": done.files_before, "files_after": done.files_after} if store.lake else {}
    if as_json:
        print_json({"bytes_before": done.bytes_before, "bytes_after": done.bytes_after, **files})
    if files:
        app.note(f"{counted(done.files_before, 'file')} became {done.files_after:,}.")
    app.note(f"{done.bytes_before / 1e6:,.1f} MB became {done.bytes_after / 1e6:,.1f} MB; nothing in it changed.")


def _give_up_lost(app: App) -> None:
    from threadx_duck.upkeep.losses import give_up_lost, shown_ranges

    store = app.store()
    if store.lake is None:
        raise UsageError(f"--give-up-lost is for a lake; {store.name} is one file. Put a backup in its place.")
    given = give_up_lost(store, store.lake)
    for file in given.files:
        app.note(f"Gave up {file}: {counted(file.rows, 'row')} of {file.table}.")
    for text in shown_ranges(given.ranges):
        app.note(f"Counts as never asked for: threadx ingest {text}")
    if not given.files and not given.ranges:
        app.note("No file is lost.")


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
    from threadx_duck.upkeep.maintenance import back_up

    made = back_up(app.store(), app.settings.store, path.absolute())
    if as_json:
        print_json({"path": str(made.path), "bytes": made.bytes, "sha256": made.sha256})
    app.note(f"Copied {made.bytes / 1e6:,.1f} MB to {made.path} and read it back; SHA-256 {made.sha256}.")


@click.command()
@json_option
@pass_app
def doctor(app: App, *, as_json: bool) -> None:
    """Examine the store, the disk and the way to the exchange; change nothing.

    Exits with 3 if there is a problem. Each line says what was found and, after the arrow, what helps.

    \b
    Example:
      threadx doctor
    """
    from threadx_duck.upkeep.doctor import examine

    findings = []
    for finding in examine(app.settings):
        findings.append(finding)
        if not as_json:
            advice = f"\n        -> {visible(finding.advice)}" if finding.advice else ""
            click.echo(f"{_MARKS[finding.state]} {finding.topic}: {visible(finding.text)}{advice}")
    problems = sum(finding.state == "problem" for finding in findings)
    if as_json:
        fields = ("topic", "state", "text", "advice")
        print_json({"findings": [{name: getattr(f, name) for name in fields} for f in findings], "problems": problems})
    if problems:
        app.end(ExitCode.FOUND)
