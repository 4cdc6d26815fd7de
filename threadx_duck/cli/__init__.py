"""The command ``threadx``: parses, calls, prints, and turns errors into exit codes. No SQL, no HTTP."""

from threadx_duck.cli.main import main

__all__ = ["main"]
