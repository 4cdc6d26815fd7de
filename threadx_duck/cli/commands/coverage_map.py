"""``threadx coverage-map`` draws what is stored as an HTML page."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import click

from threadx_duck.charts.coverage import write_coverage_map
from threadx_duck.cli.context import (
    App,
    ResultFile,
    json_option,
    pass_app,
    require_page,
    shown,
)
from threadx_duck.cli.output import print_json


@click.command("coverage-map")
@click.option(
    "-o",
    "--output",
    type=ResultFile(is_text=False),
    help="The HTML file; by default coverage.html under processed_data_path.",
)
@click.option("--no-open", is_flag=True, help="Write the file and do not open it in the browser.")
@json_option
@pass_app
def coverage_map(app: App, output: Path | None, *, no_open: bool, as_json: bool) -> None:
    """Draw what is stored, symbols by months, as a page that works without a network.

    A month is filled as far as its minutes are stored; what is missing shows by its reason, outages of the
    exchange apart from what was never downloaded. The numbers show under the pointer.

    \b
    Example:
      threadx coverage-map -o coverage.html
    """
    file = output or app.settings.data.processed_data_path / "charts" / "coverage.html"
    app.require_free(file)
    require_page(output)
    app.note(write_coverage_map(app.store(), file))
    app.note(f"The map is in {shown(file)}.")
    if as_json:
        print_json({"file": str(file)})
    if not no_open:
        webbrowser.open(file.absolute().as_uri())
