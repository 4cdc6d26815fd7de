"""``threadx export`` writes candles to a folder, in formats that other programs read."""

from __future__ import annotations

from pathlib import Path

import click

from threadx_duck.cli.completion import by_commas, complete_symbol
from threadx_duck.cli.context import (
    ROW_ENDINGS,
    App,
    counted,
    end_option,
    json_option,
    pass_app,
    read_range,
    shown,
    start_option,
    symbols_argument,
    timeframes_option,
)
from threadx_duck.cli.output import print_json, print_table
from threadx_duck.errors import UsageError
from threadx_duck.texts.symbols import not_stored

_FILE_ENDINGS = {*ROW_ENDINGS, ".xlsx", ".xls", ".txt", ".tsv", ".gz", ".zip", ".duckdb"}


@click.command()
@symbols_argument
@click.option(
    "-o", "--output", "folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path),
    help="The folder; by default [data] processed_data_path.",
)  # fmt: skip
@click.option(
    "--format", "form", type=click.Choice(["parquet", "csv", "freqtrade"]), default="parquet", show_default=True,
    help="Parquet (zstd), CSV, or the feather files that freqtrade reads.",
)  # fmt: skip
@timeframes_option(
    "Timeframe to export; may be repeated, or several by commas: 1m,1h.", default=["1m"], show_default=True
)
@click.option(
    "--symbol", "more_symbols", multiple=True, metavar="SYMBOL", shell_complete=by_commas(complete_symbol),
    hidden=True, help="The same as SYMBOL; several by commas.",
)  # fmt: skip
@start_option
@end_option
@click.option("--partition", is_flag=True, help="Hive folders: 1h/symbol=BTCUSDC/year=2024/month=1/.")
@click.option(
    "--layout", type=click.Choice(["header", "archive"]), default="header", show_default=True,
    help="Of CSV: all columns with a header, or the exchange's twelve columns, a file a month.",
)  # fmt: skip
@json_option
@pass_app
def export(
    app: App,
    symbols: tuple[str, ...],
    folder: Path | None,
    form: str,
    timeframes: tuple[str, ...],
    more_symbols: tuple[str, ...],
    start: str | None,
    end: str | None,
    layout: str,
    *,
    partition: bool,
    as_json: bool,
) -> None:
    """Write candles to files in a folder; a second export rewrites only what changed.

    Without SYMBOL, every stored one. Files are replaced in one step. For freqtrade, DIR is its folder for the
    exchange, such as user_data/data/binance; the last candle is left out there while it is still forming.

    \b
    Examples:
      threadx export BTCUSDC -o lake -t 1h,1d --partition
      threadx export -o user_data/data/binance --format freqtrade -t 5m,1h
    """
    if layout == "archive" and form != "csv":
        raise UsageError("--layout is for CSV: --format csv --layout archive.")
    if partition and (form == "freqtrade" or layout == "archive"):
        raise UsageError("--partition is for Parquet, and for CSV with a header.")
    _require_folder(folder)
    app.require_free(folder)
    start_date, end_date = read_range(start, end)
    symbols = (*symbols, *(part.strip() for text in more_symbols for part in text.split(",")))
    _require_symbols(app, symbols)
    with app.manager() as manager:
        done = manager.export(
            folder,
            "archive" if layout == "archive" else form,  # type: ignore[arg-type]
            symbols=symbols,
            timeframes=timeframes,
            start_date=start_date,
            end_date=end_date,
            partition=partition,
        )
    target = folder or app.settings.data.processed_data_path
    if as_json:
        print_json({"directory": str(target), "files": [file._asdict() for file in done]})
    else:
        print_table(
            ("symbol", "timeframe", "candles", "status", "file"),
            [(file.symbol, file.timeframe, file.candles, file.status, file.path) for file in done],
            falling=("status", "candles"),
        )
    number = {status: sum(file.status == status for file in done) for status in ("written", "unchanged", "removed")}
    told = ", ".join(f"{count:,} {status}" for status, count in number.items() if count) or "no candles"
    app.note(f"{counted(len(done), 'file')} in {shown(target.absolute())}: {told}.")


def _require_folder(folder: Path | None) -> None:
    """Raises `UsageError` if a file is named instead of a folder."""
    if folder is not None and folder.suffix.lower() in _FILE_ENDINGS:
        raise UsageError(
            f"{folder} looks like a file, and export writes a folder: name one, such as -o {folder.with_suffix('')}. "
            f"One file of candles is written by: threadx candles BTCUSDC 1h -o btc.csv (or {', '.join(ROW_ENDINGS)})"
        )


def _require_symbols(app: App, symbols: tuple[str, ...]) -> None:
    """Raises `UsageError` for symbols that are not stored, and says how to name a folder."""
    store = app.store()
    stored = store.symbols()
    unknown = [symbol for symbol in store.named(symbols) if symbol not in stored]
    if stored and unknown:
        typed = next(typed for typed in symbols if store.named([typed]) == unknown[:1])
        raise not_stored(unknown, stored, f"Run: threadx ingest {{}}. If a folder is meant: threadx export -o {typed}")
