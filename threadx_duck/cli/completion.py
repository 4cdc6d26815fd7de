"""The words that the shell offers on Tab: stored symbols and timeframes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
)

from threadx_duck.candles.timeframes import TIMEFRAMES
from threadx_duck.errors import ThreadxDuckError

Completer = Callable[[click.Context, click.Parameter, str], list[str]]


def complete_symbol(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Returns the stored symbols with this prefix; an empty list if the store cannot be read at once."""
    from threadx_duck.config import get_settings, with_database
    from threadx_duck.storage.store import Store

    options = context.find_root().params
    try:
        settings = get_settings(options.get("config")).store
        if options.get("database") is not None:
            settings = with_database(settings, options["database"])
        # A completion does not wait for another process that holds the file.
        with Store(replace(settings, lock_timeout_seconds=0.0)).reading() as session:
            return _beginning(incomplete, (row[0] for row in session.run("read/symbol_spans")))
    except ThreadxDuckError:
        return []


def complete_timeframe(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Returns the timeframes with this prefix that have a view."""
    return _beginning(incomplete, TIMEFRAMES)


def by_commas(complete: Completer) -> Completer:
    """Completes the text after the last comma, for an option that takes several values."""

    def complete_last(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
        given, comma, last = incomplete.rpartition(",")
        return [f"{given}{comma}{value}" for value in complete(context, parameter, last)]

    return complete_last


def _beginning(incomplete: str, values: Iterable[str]) -> list[str]:
    return [value for value in values if value.startswith(incomplete)]


class _WholeWords(ShellComplete):
    """Serves shells that replace the whole word: completes ``--timeframe=4`` to ``--timeframe=4h``, not ``4h``."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[Any]]:
        items = super().get_completions(args, incomplete)
        option, equals, _ = incomplete.partition("=")
        if equals and option.startswith("--"):
            for item in items:
                item.value = f"{option}={item.value}"
        return items


class _Bash(BashComplete):
    def get_completion_args(self) -> tuple[list[str], str]:
        args, incomplete = super().get_completion_args()
        # bash splits --timeframe=4 into three words.
        return (args[:-1] if args[-1:] == ["="] else args), incomplete


class _Zsh(_WholeWords, ZshComplete):
    pass


class _Fish(_WholeWords, FishComplete):
    # The script reads type,value<tab>help; a comma in the value or the help belongs to it.
    source_template = FishComplete.source_template.replace('split ","', 'split --max 1 ","')


for shell in (_Bash, _Zsh, _Fish):
    add_completion_class(shell)
