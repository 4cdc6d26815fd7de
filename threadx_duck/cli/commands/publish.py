"""``threadx publish`` makes the read copy."""

from __future__ import annotations

from pathlib import Path

import click

from threadx_duck.cli.context import App, json_option, pass_app
from threadx_duck.cli.output import print_json
from threadx_duck.errors import UsageError
from threadx_duck.upkeep.publish import publish as publish_copy


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
    settings, store = app.settings.store, app.store()
    target = path or (Path(settings.read_copy) if settings.read_copy else None)
    store.file_for("publish")
    if target is None:
        raise UsageError("Name a file: threadx publish PATH, or set [data.store] read_copy.")
    copy = publish_copy(store, settings, target.absolute())
    if as_json:
        print_json({"path": str(copy.path), "published_at": copy.published_at, "bytes": copy.bytes})
    app.note(f"Published {copy.bytes / 1e6:,.1f} MB to {copy.path}.")
