"""What the shell offers when somebody presses Tab: stored symbols and timeframes."""

from __future__ import annotations

from dataclasses import replace

import click

from threadx_duck.errors import ThreadxDuckError
from threadx_duck.timeframes import TIMEFRAMES


def complete_symbol(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The stored symbols that begin so; none if the store cannot be read at once."""
    del parameter
    from threadx_duck.config import get_settings, with_database
    from threadx_duck.store import Store

    options = context.find_root().params
    try:
        settings = get_settings(options.get("config")).store
        if options.get("database") is not None:
            settings = with_database(settings, options["database"])
        # Whoever presses Tab does not wait for another process that holds the file.
        with Store(replace(settings, lock_timeout_seconds=0.0)).reading() as session:
            stored = [row[0] for row in session.run("queries/symbol_spans")]
    except ThreadxDuckError:
        return []
    return [symbol for symbol in stored if symbol.startswith(incomplete)]


def complete_timeframe(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The timeframes that have a view."""
    del context, parameter
    return [label for label in TIMEFRAMES if label.startswith(incomplete)]
