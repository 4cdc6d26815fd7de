"""A Click group that imports the module of a command only when somebody calls the command."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

import click


class LazyGroup(click.Group):
    """A group with one module per command, all in one package; its help imports none of them.

    ``lazy_package`` names the package; ``lazy_commands`` maps the title of each group of commands to their names and
    short helps. The module and the function in it have the name of the command, with ``_`` for ``-``; see `module_of`.
    ``lazy_options`` makes the options that every command takes besides its own; ``lazy_epilog`` says so in its help.
    """

    def __init__(
        self,
        *args: Any,
        lazy_package: str,
        lazy_commands: Mapping[str, Mapping[str, str]],
        lazy_options: Callable[[], Sequence[click.Option]] = list,
        lazy_epilog: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._package = lazy_package
        self._groups = lazy_commands
        self._options = lazy_options
        self._epilog = lazy_epilog

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Returns the names of all commands, in the order of the help."""
        return [name for group in self._groups.values() for name in group]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Returns a command, after importing its module; None if there is no such command."""
        if cmd_name not in self.list_commands(ctx):
            return None
        name = module_of(cmd_name)
        command = copy.copy(getattr(import_module(f"{self._package}.{name}"), name))
        command.params = [*command.params, *self._options()]
        command.epilog = self._epilog
        return command  # type: ignore[no-any-return]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the groups of commands from the table, without importing them, with their helps in one column."""
        width = max(map(len, self.list_commands(ctx)))
        for title, group in self._groups.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), text) for name, text in group.items()])


def module_of(command: str) -> str:
    """Returns the name of a command's module and function; ``import_files`` for ``import``, which is a keyword."""
    return "import_files" if command == "import" else command.replace("-", "_")
