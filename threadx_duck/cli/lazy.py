"""A Click group that imports the module of a command only when somebody calls the command."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click


class LazyGroup(click.Group):
    """A group with one module per command, all in one package; its help imports none of them.

    ``lazy_package`` names the package; ``lazy_commands`` maps each command's name to its short help. The module and
    the function in it have the name of the command, with ``_`` for ``-``; see `module_of`.
    """

    def __init__(self, *args: Any, lazy_package: str, lazy_commands: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._package = lazy_package
        self._short_helps = lazy_commands

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Returns the names of all commands, in the order of the help."""
        return list(self._short_helps)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Returns a command, after importing its module; None if there is no such command."""
        if cmd_name not in self._short_helps:
            return None
        name = module_of(cmd_name)
        command: click.Command = getattr(import_module(f"{self._package}.{name}"), name)
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the list of commands from the table, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._short_helps.items()))


def module_of(command: str) -> str:
    """Returns the name of a command's module and function; ``import_files`` for ``import``, which is a keyword."""
    return "import_files" if command == "import" else command.replace("-", "_")
