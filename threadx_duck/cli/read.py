"""The commands that only read: ``status``, ``gaps``, ``check``, ``candles``, ``query``."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path

import click

from threadx_duck.cli.context import (
    App,
    ExitCode,
    counted,
    end_option,
    json_option,
    pass_app,
    rows_options,
    shown,
    start_option,
    symbol_argument,
    symbols_argument,
    timeframe_argument,
)
from threadx_duck.cli.output import print_json, print_table, write_rows
from threadx_duck.cli.values import as_records
from threadx_duck.errors import UsageError
from threadx_duck.visible import visible

_AGE = re.compile(r"([1-9][0-9]{0,4})([smhd])")
_AGE_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_SHOWN_FAULTS = 10

# What fits a terminal; every other format writes all columns.
_CANDLE_TABLE = (
    "open_time", "open", "high", "low", "close", "volume", "trade_count", "minutes", "is_complete", "filled_minutes",
)  # fmt: skip


@click.command()
@symbols_argument
@click.option("--max-age", metavar="AGE", help="Exit with 3 if a symbol's last candle is older, such as 10m, 2h or 1d.")
@json_option
@pass_app
def status(app: App, symbols: tuple[str, ...], max_age: str | None, *, as_json: bool) -> None:
    """Show what is stored: first and last candle, how many, how many are missing.

    \b
    Examples:
      threadx status
      threadx status BTCUSDC --max-age 10m || echo stale
    """
    from threadx_duck.times import MINUTE, utc_now

    age = None if max_age is None else read_age(max_age)
    store = app.store()
    chosen = store.require_stored(symbols)
    rows = store.query("queries/status", symbols=chosen).to_pylist()
    candles = sum(row["candles"] for row in rows)
    size, info = store.bytes, store.info()
    copied_at, origin = (info.published_at, info.published_from) if info else (None, None)
    if as_json:
        copied = {"published_at": copied_at, "published_from": origin} if origin else {}
        print_json({"symbols": rows, "candles": candles, "bytes": size, **copied})
    else:
        columns = ("symbol", "first candle", "last candle", "candles", "missing", "complete", "last asked")
        print_table(
            columns,
            [
                (
                    row["symbol"],
                    row["first_open_time"],
                    row["last_open_time"],
                    row["candles"],
                    row["missing"],
                    f"{100 * row['candles'] / row['expected']:.2f} %",
                    row["last_requested_at"],
                )
                for row in rows
            ],
        )
        app.note(f"{counted(candles, 'candle')}, {size / 1e6:,.1f} MB in {shown(store.address)}; times are UTC.")
        unproven = {row["symbol"]: row["unproven"] for row in rows if row["unproven"]}
        if unproven:
            named = ", ".join(f"{symbol} {count:,}" for symbol, count in list(unproven.items())[:_SHOWN_FAULTS])
            more = f" and {len(unproven) - _SHOWN_FAULTS:,} more" if len(unproven) > _SHOWN_FAULTS else ""
            app.note(
                f"Imported and never asked of the exchange: {counted(sum(unproven.values()), 'minute')} "
                f"({named}{more}). Compare them: threadx verify -t 1h --repair. Or ask for them: "
                "threadx ingest --refresh, with their --start."
            )
        if copied_at is not None:
            app.note(f"A read copy of {origin}, taken {(utc_now() - copied_at) // MINUTE:,} minutes ago.")
    if age is not None:
        stale = [row["symbol"] for row in rows if row["last_open_time"] + MINUTE < utc_now() - age]
        if stale:
            app.note(f"Older than {max_age}: {', '.join(stale)}. Run: threadx ingest")
            app.end(ExitCode.FOUND)


@click.command()
@symbols_argument
@start_option
@end_option
@json_option
@pass_app
def gaps(app: App, symbols: tuple[str, ...], start: str | None, end: str | None, *, as_json: bool) -> None:
    """List absent minutes, each run with its reason.

    not_downloaded: never asked for. rejected: rows came that cannot be used. outage: the whole
    exchange stood still. not_published: the exchange has no such candles.

    \b
    Example:
      threadx gaps BTCUSDC --start 2024-01-01
    """
    from threadx_duck.times import parse_range

    first, last = parse_range(start, end)
    chosen = app.store().require_stored(symbols)
    table = app.store().query(
        "queries/gaps",
        symbols=chosen,
        start=first or datetime.min,
        end=last or datetime.max,
    )
    rows = table.to_pylist()
    if as_json:
        print_json({"gaps": rows})
        return
    columns = ("symbol", "from", "to (exclusive)", "missing", "reason", "asked", "absent")
    print_table(columns, [tuple(row.values()) for row in rows])
    missing = sum(row["missing"] for row in rows)
    app.note(f"{counted(len(rows), 'gap')}, {counted(missing, 'minute')}; times are UTC.")


@click.command()
@symbols_argument
@click.option(
    "--checks",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Also run the SQL files of this folder.",
)
@json_option
@pass_app
def check(app: App, symbols: tuple[str, ...], folder: Path | None, *, as_json: bool) -> None:
    """Run the consistency checks; exit with 3 if any finds a fault.

    A check is an SQL file that returns the rows which break its rule, symbol and open_time first.

    \b
    Example:
      threadx check BTCUSDC --checks my_checks/
    """
    from threadx_duck.checks import run_checks

    findings = run_checks(app.store(), app.store().require_stored(symbols), folder)
    total = sum(finding.rows.num_rows for finding in findings)
    if as_json:
        entries = [
            {
                "name": finding.name,
                "description": finding.description,
                "rows": finding.rows.num_rows,
                "found": as_records(finding.rows.slice(0, _SHOWN_FAULTS)),
            }
            for finding in findings
        ]
        print_json({"checks": entries, "rows": total})
    else:
        print_table(
            ("check", "rows", "what it finds"),
            [(finding.name, finding.rows.num_rows, finding.description.removeprefix("Finds ")) for finding in findings],
        )
        for finding in findings:
            if finding.rows.num_rows:
                click.echo(f"\n{visible(finding.name)}: the first of {finding.rows.num_rows:,} rows")
                write_rows(finding.rows.slice(0, _SHOWN_FAULTS), "table", None)
    if total:
        app.end(ExitCode.FOUND)


@click.command()
@symbol_argument
@timeframe_argument
@start_option
@end_option
@click.option("--fill", is_flag=True, help="Bridge short gaps with flat candles, counted in filled_minutes.")
@rows_options
@pass_app
def candles(
    app: App,
    symbol: str,
    timeframe: str,
    start: str | None,
    end: str | None,
    form: str | None,
    output: Path | None,
    *,
    fill: bool,
) -> None:
    """Print or write the candles of a SYMBOL and TIMEFRAME: 1m, 5m, 3h, 1d, 1w, 1mo, any.

    \b
    Examples:
      threadx candles BTCUSDC 4h --start 2024-03-01
      threadx candles BTCUSDC 1h -o btc.parquet
    """
    from threadx_duck.ingest import IngestionManager

    app.require_free(output)
    with IngestionManager(app.settings) as manager:
        table = manager.candles(symbol, timeframe, start, end, fill=fill)
    if output is None and form in {None, "table"}:
        table = table.select([name for name in table.column_names if name in _CANDLE_TABLE])
    _note(app, write_rows(table, form, output))


@click.command()
@click.argument("sql")
@rows_options
@pass_app
def query(app: App, sql: str, form: str | None, output: Path | None) -> None:
    """Run a read-only SQL statement on the store.

    \b
    Examples:
      threadx query "select count(*) from candles_1m"
      threadx query "from candles_1d where symbol = 'BTCUSDC'" --format csv | head
    """
    app.require_free(output)
    _note(app, write_rows(app.store().query_user_sql(sql), form, output))


def _note(app: App, text: str | None) -> None:
    if text:
        app.note(text)


def read_age(text: str) -> timedelta:
    """A length of time such as ``10m``."""
    match = _AGE.fullmatch(text)
    if match is None:
        raise UsageError(f"Cannot read the age {text!r}. Write a number and s, m, h or d, such as 10m.")
    return timedelta(**{_AGE_UNITS[match[2]]: int(match[1])})
