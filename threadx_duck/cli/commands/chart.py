"""``threadx chart`` draws candles as an HTML page."""

from __future__ import annotations

import re
import webbrowser
from pathlib import Path

import click

from threadx_duck.charts.candles import write_chart
from threadx_duck.cli.context import (
    App,
    ResultFile,
    end_option,
    pass_app,
    shown,
    start_option,
    symbol_argument,
    timeframe_argument,
)


@click.command()
@symbol_argument
@timeframe_argument
@start_option
@end_option
@click.option(
    "-o",
    "--output",
    type=ResultFile(is_text=False),
    help="The HTML file; by default SYMBOL_TIMEFRAME.html under processed_data_path.",
)
@click.option("--no-open", is_flag=True, help="Write the file and do not open it in the browser.")
@pass_app
def chart(
    app: App,
    symbol: str,
    timeframe: str,
    start: str | None,
    end: str | None,
    output: Path | None,
    *,
    no_open: bool,
) -> None:
    """Draw the candles of a SYMBOL and TIMEFRAME as a page that works without a network.

    Candles and volume, with gaps by their reason and incomplete candles marked; the values of the candle
    under the pointer. Drag to move, turn the wheel or pinch to zoom.

    \b
    Examples:
      threadx chart BTCUSDC 1h --start 2024-01-01 --end 2024-12-31
      threadx chart BTCUSDC 1d -o btc.html --no-open
    """
    # A symbol may contain any character; a file's name keeps only those that every system accepts.
    name = re.sub(r"[^\w-]", "_", f"{symbol}_{timeframe}")
    file = output or app.settings.data.processed_data_path / "charts" / f"{name}.html"
    app.require_free(file)
    with app.manager() as manager:
        note = write_chart(manager, symbol, timeframe, start, end, file=file)
    app.note(note)
    app.note(f"The chart is in {shown(file)}.")
    if not no_open:
        webbrowser.open(file.absolute().as_uri())
