"""``threadx ui`` opens the Data Manager in a window."""

from __future__ import annotations

import click

from threadx_duck.cli.context import App, pass_app
from threadx_duck.errors import NoDisplayError


@click.command()
@pass_app
def ui(app: App) -> None:
    """Open the Data Manager: download, see what is stored, and repair it, in a window.

    Looks best with: pip install 'threadx_duck[ui]'

    \b
    Examples:
      threadx ui
      threadx --db other.duckdb ui
    """
    try:
        import tkinter
    except ImportError as error:
        raise NoDisplayError(
            "This Python has no tkinter. Install it, such as with: apt-get install python3-tk"
        ) from error
    from threadx_duck.data_manager import open_window

    try:
        open_window(app.settings)
    except tkinter.TclError as error:
        if "display" not in str(error):
            raise
        raise NoDisplayError(
            "There is no display to open a window on. Run it in a desktop session; "
            "threadx ingest, status and gaps do the same without one."
        ) from error
