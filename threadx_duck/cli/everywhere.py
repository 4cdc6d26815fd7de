"""The global options, which stand before or after the command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from threadx_duck.cli.context import App

# What the help of a command says of them, in one line instead of four.
EPILOG = "Before or after the command: --config PATH, --db PATH, --verbose, --quiet."


def shared_options() -> list[click.Option]:
    """Returns the global options as every command takes them: they act on the `App`, the command does not see them."""
    return [
        _option("--config", type=click.Path(path_type=Path)),
        _option("--db", "database", type=click.Path()),
        _option("--verbose", is_flag=True),
        _option("--quiet", is_flag=True),
    ]


def require_one_voice(app: App) -> None:
    """Raises `click.UsageError` if the command is to say more and less at once."""
    if app.verbose and app.quiet:
        raise click.UsageError("--verbose and --quiet exclude each other.")


def _option(*names: str, **attributes: Any) -> click.Option:
    return click.Option(names, expose_value=False, hidden=True, callback=_take, help=EPILOG, **attributes)


def _take(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Takes an option that stands after the command for one before it, where it replaces that one."""
    if parameter.name is None or value is None or value is False:
        return
    # A completion reads the options of the group, and has no App.
    context.find_root().params[parameter.name] = value
    app = context.find_object(App)
    if app is not None:
        setattr(app, parameter.name, value)
        require_one_voice(app)
