"""Makes the pictures of the Data Manager in ``docs/``: ``python -m tests.screenshots``.

Needs Xvfb, and ``import`` of ImageMagick. Runs the real page against the loopback exchange, on made-up
candles; what it shows is what a person would see.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

from tests.support.display import virtual_screen
from threadx_duck.config import get_settings
from threadx_duck.data_manager.window import DataManagerWindow
from threadx_duck.ingest import IngestionManager
from threadx_duck.simulator import LoopbackExchange, generate_market

FOLDER = Path(__file__).resolve().parent.parent / "docs"
NOW = datetime(2025, 3, 10, 12, tzinfo=UTC)
SYMBOLS = ("BTCUSDC", "DOGEUSDC", "ETHUSDC", "SOLUSDC", "XRPUSDC")
LEAST, USUAL = "1024x700", "1280x840"


def main() -> None:
    """Makes every picture anew."""
    market = generate_market(
        SYMBOLS,
        start=datetime(2024, 5, 1, tzinfo=UTC),
        end=NOW,
        outages=[
            (datetime(2024, 5, 14, 2, tzinfo=UTC), datetime(2024, 5, 14, 9, tzinfo=UTC)),
            (datetime(2025, 2, 11, 3, 41, tzinfo=UTC), datetime(2025, 2, 11, 5, tzinfo=UTC)),
        ],
        pauses={"DOGEUSDC": (datetime(2024, 9, 3, tzinfo=UTC), datetime(2024, 9, 12, tzinfo=UTC))},
        listings={"SOLUSDC": datetime(2024, 7, 18, 8, tzinfo=UTC), "XRPUSDC": datetime(2024, 10, 2, tzinfo=UTC)},
    )
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        os.chdir(folder)
        exchange = stack.enter_context(LoopbackExchange(market, now=NOW))
        Path("paths.toml").write_text(
            f'[data.api]\nbase_url = "{exchange.url}"\nrate_limit_calls = 100000\n[data.archive]\nenabled = false\n'
        )
        settings = get_settings()
        with IngestionManager(settings) as manager:
            manager.update_assets_batch(SYMBOLS[:3], "2024-05-01", "2024-06-20")
            manager.update_assets_batch(SYMBOLS, "2024-08-16", "2025-01-10")
            manager.update_assets_batch(["BTCUSDC", "SOLUSDC"], "2024-06-21", "2025-02-20")
        now = NOW.replace(tzinfo=None)
        for module in ("coverage.snapshot", "options", "symbols"):
            stack.enter_context(mock.patch(f"threadx_duck.data_manager.{module}.utc_now", return_value=now))
        take_pictures(DataManagerWindow(settings), exchange)
        logging.shutdown()


def take_pictures(window: Any, exchange: LoopbackExchange) -> None:
    """Goes through the page as a person would."""
    page = window.page
    page.options.start.set("2025-02-01")
    page.options.end.set("2025-03-10")
    window.geometry(f"{USUAL}+0+0")
    wait(window, lambda: page.symbols.symbols)
    page.symbols.select(["BTCUSDC", "DOGEUSDC", "SOLUSDC"])
    exchange.fail(400, times=None, match="DOGEUSDC", code=-1121)
    exchange.latency = 1.0
    page.download_selected()
    wait(
        window, lambda: "%" in page.symbols.state_of("BTCUSDC") and page.symbols.state_of("DOGEUSDC").startswith("127")
    )
    picture(window, "data-manager")
    window.switch_theme()
    page.tabs.select(page.log)
    picture(window, "data-manager-dark")
    window.switch_theme()
    exchange.latency = 0.0
    wait(window, lambda: not page.is_running)

    window.geometry(f"{LEAST}+0+0")
    page.options.dry_run.set(True)
    page.options.start.set("2024-07-01")
    page.symbols.select_all_shown()
    page.download_selected()
    wait(window, lambda: not page.is_running)
    picture(window, "plan")
    page.tabs.select(page.coverage)
    page.coverage._on_zoom(datetime(2025, 2, 1))
    wait(window, lambda: page.coverage.month is not None)
    picture(window, "days")
    chooser = page.choose_symbols()
    wait(window, lambda: chooser.tree.get_children())
    picture(window, "choose")
    chooser.destroy()
    page.options.start_field.open_calendar()
    picture(window, "calendar")
    window.close()


def wait(window: Any, condition: Callable[[], object]) -> None:
    """Lets the window work until something holds."""
    until = time.monotonic() + 120
    while not condition():
        if time.monotonic() > until:
            sys.exit("The page did not come that far within two minutes.")
        window.update()
        time.sleep(0.01)


def picture(window: Any, name: str) -> None:
    """Takes a picture of the screen when all is drawn."""
    until = time.monotonic() + 0.7
    while time.monotonic() < until:
        window.update()
        time.sleep(0.01)
    area = f"{window.winfo_width()}x{window.winfo_height()}+{window.winfo_rootx()}+{window.winfo_rooty()}"
    file = FOLDER / f"{name}.png"
    subprocess.run(
        ["import", "-window", "root", "-crop", area, "+repage", "+dither", "-colors", "64", str(file)], check=True
    )
    sys.stdout.write(f"{file.name}: {file.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    with virtual_screen() as display:
        os.environ["DISPLAY"] = display
        main()
