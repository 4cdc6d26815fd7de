"""The command ``threadx``: parses arguments, calls the package, prints results, and turns errors into exit codes."""

from threadx_duck.cli.main import main

__all__ = ["main"]
