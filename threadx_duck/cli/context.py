"""Code that every command shares: settings, streams, exit codes, and the options of several commands."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import IntEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from threadx_duck.candles.timeframes import parse_timeframe
from threadx_duck.candles.times import format_time, parse_range, utc_now
from threadx_duck.cli.completion import by_commas, complete_symbol, complete_timeframe
from threadx_duck.cli.screen import fold, width_of
from threadx_duck.config.address import LakeAddress, is_lake
from threadx_duck.disk.whole_files import require_replaceable
from threadx_duck.errors import UsageError
from threadx_duck.texts.visible import visible

if TYPE_CHECKING:
    from datetime import datetime

    from threadx_duck.config import Settings
    from threadx_duck.config.address import Address
    from threadx_duck.ingest import IngestionManager
    from threadx_duck.storage.store import Store

# Names of stdout, for options that name a file to write rows to.
STDOUT = (Path("-"), Path("/dev/stdout"))

Command = TypeVar("Command", bound=Callable[..., Any])


class ExitCode(IntEnum):
    """The exit codes of a command."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    FOUND = 3
    INTERRUPTED = 130


@dataclass
class App:
    """The global options, and the settings, store and manager that they lead to."""

    config: Path | None
    database: str | None
    verbose: bool
    quiet: bool

    @cached_property
    def settings(self) -> Settings:
        """Returns the effective settings, after setting up the log files by them."""
        from threadx_duck.config import get_settings, with_database
        from threadx_duck.config.logs import set_up_logs

        settings = get_settings(self.config)
        if self.database is not None:
            settings = replace(settings, store=with_database(settings.store, self.database))
        set_up_logs(settings.logging, console=self.verbose or (settings.logging.console_output and not self.quiet))
        self.warn_of_secrets(settings.store.database)
        return settings

    def store(self) -> Store:
        """Returns the store, whether it exists or not."""
        from threadx_duck.storage.store import Store

        return Store(self.settings.store, on_wait=self.note)

    def manager(self) -> IngestionManager:
        """Returns the manager of the store, which tells the user what it waits for."""
        from threadx_duck.download.results import Notes
        from threadx_duck.ingest import IngestionManager

        return IngestionManager(self.settings, progress=Notes(self.note))

    def require_free(self, place: Path | None) -> None:
        """Raises `UsageError` if a result would overwrite a file that the settings, the store or the logs need."""
        from threadx_duck.cli.places import require_free

        if place is not None and place not in STDOUT:
            require_free(place, self.settings, self.store())

    def note(self, text: str) -> None:
        """Prints one line on stderr unless the user chose ``--quiet``."""
        if not self.quiet:
            click.echo(fold(f"note: {visible(text)}", width_of(sys.stderr)), err=True)

    def warn_of_secrets(self, address: Address) -> None:
        """Prints a note if the address of a store holds a password, which belongs somewhere else."""
        if isinstance(address, LakeAddress) and address.secrets:
            self.note(
                "The address of the lake holds a password in clear. PostgreSQL reads it from ~/.pgpass or a service "
                "file as well: docs/lake.md."
            )

    @staticmethod
    def end(code: ExitCode) -> NoReturn:
        """Ends the command, but not the program: the demo runs several commands."""
        raise click.exceptions.Exit(code)


# A store may be younger than a clock that is wrong by less than this.
_CLOCK_IS_RIGHT = timedelta(days=1)

PAGE_ENDINGS = (".html", ".htm")
# What an ending says of the form of rows.
ROW_ENDINGS = {".csv": "csv", ".json": "json", ".parquet": "parquet", ".arrow": "arrow", ".feather": "arrow"}


class StoreType(click.Path):
    """Reads a file path as `click.Path` does, or the address of a lake, which no message repeats as typed."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Returns the text, after checking it if it names a file."""
        return value if is_lake(str(value)) else super().convert(value, param, ctx)


class ResultFile(click.Path):
    """A file that a command writes; it may replace an earlier file, but never a database.

    ``is_text`` says whether the file may also go to stdout; a file that nobody reads in a terminal may not.
    """

    def __init__(self, *, is_text: bool) -> None:
        super().__init__(dir_okay=False, path_type=Path)
        self._is_text = is_text

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Returns the path; refuses a database before the command reads the store."""
        path = Path(str(super().convert(value, param, ctx)))
        if path == Path("-") and not self._is_text:
            raise UsageError("This command writes a page: name its file, such as -o page.html, or -o /dev/stdout.")
        if path not in STDOUT:
            require_replaceable(path)
        return path


def require_page(file: Path | None) -> None:
    """Raises `UsageError` if the ending of a file promises something else than a page."""
    if file is not None and file.suffix and file.suffix.lower() not in PAGE_ENDINGS and file not in STDOUT:
        raise UsageError(f"{file} would hold a page for the browser; its ending is {' or '.join(PAGE_ENDINGS)}.")


def choose_form(form: str | None, output: Path | None) -> str | None:
    """Returns the form of rows that ``--format`` or the ending of ``-o`` names; None for a table on the terminal.

    A file without an ending, such as a pipe, takes CSV, and ``--format`` wins over the ending. Raises `UsageError` for
    an ending that names no form.
    """
    if output is None or output in STDOUT:
        return form
    named = ROW_ENDINGS.get(output.suffix.lower())
    if form is None and output.suffix and named is None:
        raise UsageError(
            f"The ending of {output} names no form of rows. Take {', '.join(ROW_ENDINGS)}, "
            "or say what it is to hold: --format csv"
        )
    return form or named or "csv"


def read_range(start: str | None, end: str | None) -> tuple[datetime | None, datetime | None]:
    """Returns the range that was typed, by the clock of this machine; see `parse_range`.

    Raises `UsageError` for an empty range, and for one that begins in the future.
    """
    now = utc_now()
    first, last = parse_range(start, end, lambda: now)
    if first is not None and first > now + _CLOCK_IS_RIGHT:
        raise UsageError(f"The range begins at {format_time(first)}, but it is {format_time(now)} now.")
    return first, last


def read_timeframes(texts: Iterable[str]) -> tuple[str, ...]:
    """Returns each timeframe once, in the order typed: ``1h,4h`` as well as ``-t 1h -t 4h``."""
    labels = dict.fromkeys(label.strip() for text in texts for label in text.split(","))
    return tuple(parse_timeframe(label).label for label in labels)


def timeframes_option(text: str, **attributes: Any) -> Callable[[Command], Command]:
    """``-t 1h,4h``, which may also be repeated; the command gets each timeframe once, as ``timeframes``."""
    return click.option(
        "-t", "--timeframe", "timeframes", multiple=True, metavar="TF[,TF]",
        callback=lambda _context, _option, texts: read_timeframes(texts),
        shell_complete=by_commas(complete_timeframe), help=text, **attributes,
    )  # fmt: skip


def one_or_more(positional: str | None, timeframes: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the timeframes of a command that takes ``TF`` as well as ``-t``. Raises `click.UsageError` for none."""
    typed = (*([positional] if positional is not None else []), *timeframes)
    if not typed:
        raise click.UsageError("Missing argument 'TF', such as 1h or 1h,4h.", click.get_current_context())
    return read_timeframes(typed)


def shown(path: Address) -> str:
    """Returns the path as a person would type it, relative if it is below the current folder; or a lake's address."""
    if isinstance(path, Path) and path.is_relative_to(Path.cwd()):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def print_error(text: str) -> None:
    """One error on stderr, on one line."""
    click.echo(fold(f"threadx: error: {visible(' '.join(text.split()))}", width_of(sys.stderr)), err=True)


def counted(number: int, singular: str) -> str:
    """Returns a number with its noun: ``1 gap``, ``2 gaps``."""
    return f"{number:,} {singular}{'' if number == 1 else 's'}"


def first_of(texts: Sequence[str], most: int) -> str:
    """Returns the first texts as a list in a sentence, and how many more there are: ``A, B and 3 more``."""
    more = f" and {len(texts) - most:,} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more


pass_app = click.make_pass_decorator(App)

symbols_argument = click.argument("symbols", nargs=-1, metavar="[SYMBOL]...", shell_complete=complete_symbol)
symbol_argument = click.argument("symbol", shell_complete=complete_symbol)
timeframe_argument = click.argument(
    "timeframe", required=False, metavar="TF[,TF]", shell_complete=by_commas(complete_timeframe)
)
start_option = click.option("--start", metavar="T", help="Start: 2024-01-01, 2024-01-01T10:30, yesterday, 30d, 12h.")
end_option = click.option("--end", metavar="T", help="End, written alike; a plain date includes that day.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


def rows_options(command: Command) -> Command:
    """Adds ``--format`` and ``-o``, for commands that print rows."""
    command = click.option(
        "--json", "form", flag_value="json", help="Print one JSON document; the same as --format json."
    )(command)
    command = click.option(
        "-o", "--output", type=ResultFile(is_text=True), help="Write to this file instead of stdout."
    )(command)
    return click.option(
        "--format",
        "form",
        type=click.Choice(["table", "csv", "json", "parquet", "arrow"]),
        help="How to print the rows; by default a table, or what the ending of -o says.",
    )(command)
