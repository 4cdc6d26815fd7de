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
    json_option,
    one_or_more,
    pass_app,
    read_range,
    require_page,
    shown,
    start_option,
    symbol_argument,
    timeframe_argument,
    timeframes_option,
)
from threadx_duck.cli.empty import what_is_stored
from threadx_duck.cli.output import print_json
from threadx_duck.errors import NoCandlesError, UsageError


@click.command()
@symbol_argument
@timeframe_argument
@timeframes_option("Another way to name the timeframe; of several, each has its page.")
@start_option
@end_option
@click.option(
    "-o",
    "--output",
    type=ResultFile(is_text=False),
    help="The HTML file; by default SYMBOL_TIMEFRAME.html under processed_data_path.",
)
@click.option("--no-open", is_flag=True, help="Write the file and do not open it in the browser.")
@json_option
@pass_app
def chart(
    app: App,
    symbol: str,
    timeframe: str | None,
    timeframes: tuple[str, ...],
    start: str | None,
    end: str | None,
    output: Path | None,
    *,
    no_open: bool,
    as_json: bool,
) -> None:
    """Draw the candles of a SYMBOL and timeframe TF as a page that works without a network.

    Candles and volume, with gaps by their reason and incomplete candles marked; the values of the candle
    under the pointer. Drag to move, turn the wheel or pinch to zoom.

    \b
    Examples:
      threadx chart BTCUSDC 1h --start 2024-01-01 --end 2024-12-31
      threadx chart BTCUSDC 1d -o btc.html --no-open
    """
    labels = one_or_more(timeframe, timeframes)
    if output is not None and len(labels) > 1:
        raise UsageError(f"{output} is one page, and {', '.join(labels)} are several. Leave -o out, or name one.")
    app.require_free(output)
    require_page(output)
    first, last = read_range(start, end)
    with app.manager() as manager:
        (name,) = manager.store.require_stored([symbol])
        charts = {label: output or _default_file(app, f"{name}_{label}") for label in labels}
        for label, file in charts.items():
            app.require_free(file)
            try:
                app.note(write_chart(manager, name, label, first, last, file=file))
            except NoCandlesError:
                found = what_is_stored(manager.store, [name])
                raise UsageError(f"No {label} candle opens in this range. {found}") from None
            app.note(f"The chart is in {shown(file)}.")
    if as_json:
        entries = [{"symbol": name, "timeframe": label, "file": str(file)} for label, file in charts.items()]
        print_json({"charts": entries})
    if not no_open:
        for file in charts.values():
            webbrowser.open(file.absolute().as_uri())


def _default_file(app: App, title: str) -> Path:
    # A symbol is the exchange's string; in a file's name only what every system takes is kept of it.
    name = re.sub(r"[^\w-]", "_", title)
    return app.settings.data.processed_data_path / "charts" / f"{name}.html"
