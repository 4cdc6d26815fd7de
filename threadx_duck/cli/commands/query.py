"""``threadx query`` runs a read-only SQL statement."""

from __future__ import annotations

from pathlib import Path

import click

from threadx_duck.cli.context import (
    App,
    choose_form,
    pass_app,
    rows_options,
)
from threadx_duck.cli.empty import what_is_stored
from threadx_duck.cli.rows import write_rows


@click.command()
@click.argument("sql")
@rows_options
@pass_app
def query(app: App, sql: str, form: str | None, output: Path | None) -> None:
    """Run a read-only SQL statement on the store.

    \b
    Examples:
      threadx query "select count(*) from candles_1m"
      threadx query "from candles_1d where symbol = 'BTCUSDC'" --format csv | head
    """
    app.require_free(output)
    choose_form(form, output)
    store = app.store()
    table = store.query_user_sql(sql)
    if note := write_rows(table, form, output):
        app.note(note)
    if not table.num_rows:
        app.note(f"No rows. {what_is_stored(store)}")
