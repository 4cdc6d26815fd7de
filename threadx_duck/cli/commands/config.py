"""``threadx config`` shows the effective settings, or writes a commented settings file."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from threadx_duck.cli.context import App, json_option, pass_app
from threadx_duck.cli.output import print_json, print_table
from threadx_duck.config import DEFAULT_FILE, TABLES, default_text
from threadx_duck.config.address import LakeAddress
from threadx_duck.errors import UsageError
from threadx_duck.texts.urls import without_user


@click.command()
@click.option("--init", is_flag=True, help="Write a commented paths.toml here, unless there is one.")
@json_option
@pass_app
def config(app: App, *, init: bool, as_json: bool) -> None:
    """Show the effective settings and where each comes from.

    \b
    Examples:
      threadx config
      threadx config --init      # writes ./paths.toml, or the file of --config
    """
    if init:
        _write(app)
        if as_json:
            print_json({"file": str(app.config or DEFAULT_FILE)})
        return
    rows = _rows(app)
    if as_json:
        print_json({"settings": [dict(zip(("key", "value", "from"), row, strict=True)) for row in rows]})
    else:
        print_table(
            ("setting", "value", "from"),
            [(key, _shown(value), origin) for key, value, origin in rows],
            falling=("from",),
        )


def _rows(app: App) -> list[tuple[str, Any, str]]:
    settings = app.settings
    rows = []
    for table, attribute in TABLES.items():
        made = getattr(settings, attribute)
        for entry in fields(made):
            value = getattr(made, entry.name)
            key = f"{table}.{entry.name}"
            origin = str(settings.file) if key in settings.given else "default"
            if key == "data.store.database" and app.database is not None:
                origin = "--db"
            if isinstance(value, Path | LakeAddress):
                value = str(value)
            elif isinstance(value, str):
                value = without_user(value, "***@")
            rows.append((key, value, origin))
    return rows


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else f"{value:g}"


def _write(app: App) -> None:
    file = app.config or DEFAULT_FILE
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(default_text())
    except FileExistsError as error:
        raise UsageError(
            f"{file} is there already. Edit it, or name another: threadx --config FILE config --init"
        ) from error
    except OSError as error:
        raise UsageError(f"Cannot write {file}: {error.strerror}.") from error
    app.note(f"Wrote {file}. Every key in it is optional.")
