"""The group ``threadx`` with its global options; turns errors into messages and exit codes."""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import suppress
from pathlib import Path

import click

from threadx_duck.cli.commands import GROUPS
from threadx_duck.cli.context import App, ExitCode, print_error
from threadx_duck.cli.everywhere import EPILOG, require_one_voice, shared_options
from threadx_duck.cli.interruption import ending_queries, is_ending
from threadx_duck.cli.lazy import LazyGroup
from threadx_duck.errors import QueryError, SettingsError, ThreadxDuckError, UsageError


@click.group(
    cls=LazyGroup,
    lazy_package="threadx_duck.cli.commands",
    lazy_commands=GROUPS,
    lazy_options=shared_options,
    lazy_epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--config", type=click.Path(path_type=Path), help="Settings file; by default ./paths.toml, else built-in defaults."
)
@click.option(
    "--db",
    "database",
    type=click.Path(),
    help="The store, a file or ducklake:postgres:..., instead of [data.store] database.",
)
@click.option("--verbose", is_flag=True, help="Log lines on stderr; tracebacks of errors.")
@click.option("--quiet", is_flag=True, help="Nothing on stderr but errors.")
@click.version_option(package_name="threadx_duck", prog_name="threadx")
@click.pass_context
def threadx(context: click.Context, config: Path | None, database: str | None, *, verbose: bool, quiet: bool) -> None:
    """An embedded DuckDB store of Binance 1-minute candles; every higher timeframe is a SQL view.

    \b
    Examples:
      threadx ingest BTCUSDC --start 2024-01-01
      threadx status
      threadx candles BTCUSDC 4h --start 30d

    Options stand before or after the command. Symbols may be typed btcusdc, BTC/USDC or BTC-USDC. Times are
    UTC: 2024-01-01, 2024-01-01T10:30, today, yesterday, 30d or 4w (whole days back), 12h or 90m (back from now).
    """
    context.obj = App(config, database, verbose, quiet)
    require_one_voice(context.obj)


def main() -> None:
    """Runs the command line of this process and exits with its code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Runs one command line and returns its exit code."""
    with ending_queries():
        try:
            code = threadx.main(arguments, prog_name="threadx", standalone_mode=False)
            sys.stdout.flush()
            return code if isinstance(code, int) else ExitCode.DONE
        except BaseException as error:  # noqa: BLE001 - the last one there is: whatever it is ends in a sentence
            if "--verbose" in arguments and not isinstance(error, click.exceptions.ClickException | SystemExit):
                traceback.print_exc()
            return _interrupted() if is_ending() else _end_of(error)


def _end_of(error: BaseException) -> int:
    """Prints an error and returns its exit code."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return ExitCode.USAGE
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        hint = f" See: {context.command_path} --help" if context else ""
        return _fail(error.format_message() + hint, ExitCode.USAGE)
    if isinstance(error, ThreadxDuckError):
        is_usage = isinstance(error, SettingsError | UsageError | QueryError)
        return _fail(str(error), ExitCode.USAGE if is_usage else ExitCode.FAILED)
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return _interrupted()
    if isinstance(error, BrokenPipeError | SystemExit):
        # The reader has closed the pipe, at which click and rich end the program. Closing stdout must not fail again.
        _forget_output()
        return ExitCode.DONE
    if isinstance(error, OSError):
        _forget_output()
        what = f"Cannot use {error.filename}" if error.filename else "Cannot write the result"
        return _fail(f"{what}: {error.strerror or error}.", ExitCode.FAILED)
    # An unforeseen error, including DuckDB's own. The class says as much as the text, which may be empty.
    return _fail(f"{type(error).__name__}: {error} (--verbose shows where)", ExitCode.FAILED)


def _interrupted() -> ExitCode:
    click.echo("threadx: interrupted; what was stored before stays.", err=True)
    return ExitCode.INTERRUPTED


def _forget_output() -> None:
    """Keeps Python from trying again, when the program ends, to write output that it could not write."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str, code: ExitCode) -> ExitCode:
    print_error(message)
    return code
