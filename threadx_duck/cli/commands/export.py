"""``threadx export`` writes candles to a folder, in formats that other programs read."""

from __future__ import annotations

from pathlib import Path

import click

from threadx_duck.cli.completion import by_commas, complete_symbol, complete_timeframe
from threadx_duck.cli.context import App, counted, end_option, json_option, pass_app, shown, start_option
from threadx_duck.cli.output import print_json, print_table
from threadx_duck.errors import UsageError


@click.command()
@click.argument("folder", required=False, metavar="[DIR]", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--format", "form", type=click.Choice(["parquet", "csv", "freqtrade"]), default="parquet", show_default=True,
    help="Parquet (zstd), CSV, or the feather files that freqtrade reads.",
)  # fmt: skip
@click.option(
    "-t", "--timeframe", "timeframes", multiple=True, metavar="TF", default=["1m"], show_default=True,
    shell_complete=by_commas(complete_timeframe),
    help="Timeframe to export; may be repeated, or several by commas: 1m,1h.",
)  # fmt: skip
@click.option(
    "--symbol", "symbols", multiple=True, metavar="SYMBOL", shell_complete=by_commas(complete_symbol),
    help="Symbol to export; may be repeated, or several by commas. Without it, every stored one.",
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
    folder: Path | None,
    form: str,
    timeframes: tuple[str, ...],
    symbols: tuple[str, ...],
    start: str | None,
    end: str | None,
    layout: str,
    *,
    partition: bool,
    as_json: bool,
) -> None:
    """Write candles to DIR, by default [data] processed_data_path; a second export rewrites what changed.

    Files are replaced in one step. For freqtrade, DIR is its folder for the exchange, such as
    user_data/data/binance; the last candle is left out there while it is still forming.

    \b
    Examples:
      threadx export lake -t 1h,1d --partition
      threadx export user_data/data/binance --format freqtrade -t 5m,1h
    """
    if layout == "archive" and form != "csv":
        raise UsageError("--layout is for CSV: --format csv --layout archive.")
    if partition and (form == "freqtrade" or layout == "archive"):
        raise UsageError("--partition is for Parquet, and for CSV with a header.")
    app.require_free(folder)
    with app.manager() as manager:
        done = manager.export(
            folder,
            "archive" if layout == "archive" else form,  # type: ignore[arg-type]
            symbols=_listed(symbols),
            timeframes=_listed(timeframes),
            start_date=start,
            end_date=end,
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


def _listed(texts: tuple[str, ...]) -> list[str]:
    return [part.strip() for text in texts for part in text.split(",")]
