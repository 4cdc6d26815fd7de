"""``threadx demo`` is a tour: it runs the real commands against a loopback exchange, without a network."""

from __future__ import annotations

import hashlib
import os
import shlex
import sys
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from threadx_duck.cli.context import App, json_option, pass_app
from threadx_duck.cli.output import print_json
from threadx_duck.disk.whole_files import write_whole
from threadx_duck.errors import UsageError
from threadx_duck.simulator import LoopbackExchange, generate_market

_SYMBOLS = ("BTCUSDC", "ETHUSDC", "SOLUSDC")
_LISTED = datetime(2025, 1, 20, tzinfo=UTC)
_NOW = datetime(2025, 3, 10, 12, tzinfo=UTC)
_OUTAGE = (datetime(2025, 2, 11, 3, 41, tzinfo=UTC), datetime(2025, 2, 11, 5, tzinfo=UTC))

# The file by which a demo recognises the folder of an earlier one, and the first words of that file.
_MARK = "threadx-demo.txt"
_MARKED = """\
The command "threadx demo" made this folder, and the next one there replaces it: paths.toml and data/threadx.duckdb.
To keep what is here, delete this file.
"""

_NEXT = """\
  threadx candles ETHUSDC 3h --start 2025-03-08
  threadx query "select * from candles_1d where symbol = 'SOLUSDC'"
And for real candles, in any folder:
  threadx ingest BTCUSDC --start 2024-01-01"""


@click.command()
@click.option(
    "--dir",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("threadx-demo"),
    show_default=True,
    help="Where the store and its settings go: an empty folder, or that of an earlier demo, which is replaced.",
)
@json_option
@pass_app
def demo(app: App, folder: Path, *, as_json: bool) -> None:
    """Show everything on made-up candles, without a network.

    Starts a loopback exchange with an outage and quiet minutes in it, and runs the commands you would
    run: the store it leaves behind is yours to play with. With --json, the tour goes to stderr.
    """
    if not as_json:
        _show(app, folder)
        return
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stdout(nowhere if app.quiet else sys.stderr):
        _show(app, folder)
    print_json({"settings": str(folder / "paths.toml"), "store": str(folder / "data" / "threadx.duckdb")})


def _show(app: App, folder: Path) -> None:
    settings = _prepare(folder)
    click.echo(
        "An exchange on this machine stands in for Binance: made-up candles of three symbols,\n"
        "one of them quiet, and an outage of 79 minutes in February."
    )
    with _exchange() as exchange:
        _write_settings(
            settings,
            "# Settings of the demo. The exchange it talked to is gone; reading needs none.\n"
            f'[data.api]\nbase_url = "{exchange.url}"\n\n[data.archive]\nbase_url = "{exchange.url}"\n',
        )
        for title, command in _tour():
            click.echo(f"\n# {title}")
            click.secho(f"$ threadx {command}", bold=True)
            _run(app, settings, command)
    click.echo(
        f"\nThe store is {folder / 'data' / 'threadx.duckdb'}: one DuckDB file, open to any DuckDB client.\n"
        f"Try next:\n  cd {shlex.quote(str(folder))}\n{_NEXT}"
    )


def _tour() -> list[tuple[str, str]]:
    lately = (_NOW - timedelta(hours=6)).strftime("%Y-%m-%dT%H:%M")
    return [
        ("Download everything there is", f"ingest {' '.join(_SYMBOLS)}"),
        ("Again: what is covered is not asked for twice", "ingest --end 2025-03-09"),
        ("What is stored", "status"),
        ("Every absent minute has a reason", "gaps"),
        ("Nothing is wrong with it", "check"),
        ("Any timeframe is a view over the minutes", f"candles BTCUSDC 1h --start {lately}"),
        ("They equal the exchange's own, and this proves it", "verify -t 1h"),
        ("Where one candle comes from", "explain SOLUSDC 2025-03-08T10:00"),
    ]


def _prepare(folder: Path) -> Path:
    """Empties the folder of an earlier demo and returns the path of the settings in it.

    Raises `UsageError` and touches nothing unless the folder is empty, absent, or made by an earlier demo.
    """
    settings, data = folder / "paths.toml", folder / "data"
    try:
        if folder.exists() and any(folder.iterdir()):
            _require_demo(folder, settings, data)
        data.mkdir(parents=True, exist_ok=True)
        for left in (data / "threadx.duckdb", data / "threadx.duckdb.wal", settings):
            left.unlink(missing_ok=True)
        write_whole(folder / _MARK, _MARKED.encode())
    except OSError as error:
        raise UsageError(f"Cannot use the folder {folder}: {error.strerror}.") from error
    return settings


def _require_demo(folder: Path, settings: Path, data: Path) -> None:
    """Raises `UsageError` unless an earlier demo made the files there and nobody has changed or linked them since."""
    advice = "Name another folder: threadx demo --dir FOLDER"
    mark = folder / _MARK
    if mark.is_symlink() or not mark.is_file() or not mark.read_bytes().startswith(_MARKED.encode()):
        raise UsageError(f"{folder} holds something else. {advice}")
    for path in (settings, data, data / "threadx.duckdb", data / "threadx.duckdb.wal"):
        if path.is_symlink():
            raise UsageError(f"{path} is a link to something that is not the demo's. {advice}")
    if settings.exists() and _digest(settings.read_bytes()) not in mark.read_text(encoding="utf-8", errors="replace"):
        raise UsageError(f"{settings} was changed since the demo wrote it. {advice}")


def _write_settings(settings: Path, text: str) -> None:
    """Writes the settings; their hash goes into the mark first, so that a kill in between leaves a demo's folder."""
    content = text.encode()
    try:
        write_whole(settings.with_name(_MARK), f"{_MARKED}{_digest(content)}\n".encode())
        write_whole(settings, content)
    except OSError as error:
        raise UsageError(f"Cannot use the folder {settings.parent}: {error.strerror}.") from error


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _exchange() -> LoopbackExchange:
    market = generate_market(_SYMBOLS, start=_LISTED, end=_NOW, outages=[_OUTAGE], quiet={"SOLUSDC": 0.4})
    return LoopbackExchange(market, now=_NOW)


def _run(app: App, settings: Path, command: str) -> None:
    """Runs one command line as if it were typed; if it fails or finds anything, ends the demo with its exit code."""
    options = ["--config", str(settings), *(["--quiet"] if app.quiet else []), *(["--verbose"] if app.verbose else [])]
    group = click.get_current_context().find_root().command
    group.main([*options, *shlex.split(command)], prog_name="threadx", standalone_mode=False)
