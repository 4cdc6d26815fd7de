"""``threadx chart``: what the page holds, and what is said when it cannot be made."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.conftest import OUTAGE, START
from tests.support.browser import Browser
from threadx_duck import IngestionManager, Settings
from threadx_duck.charts.candles import _decimals, write_chart
from threadx_duck.cli.main import run

pytestmark = pytest.mark.slow


@pytest.fixture
def stored(settings: Settings) -> Settings:
    """Two symbols over three days, with an outage in them."""
    with IngestionManager(settings) as manager:
        manager.update_assets_batch(["BTCUSDC", "ETHUSDC"], START, START + timedelta(days=3))
    return settings


def data_of(page: str) -> dict[str, Any]:
    """What the script of a page reads."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    return orjson.loads(found[1])


def test_chart_page_holds_candles_volume_gaps_and_incomplete_ones(stored: Settings, tmp_path: Path) -> None:
    assert run(["--quiet", "chart", "BTCUSDC", "1h", "-o", "btc.html", "--no-open"]) == 0
    page = (tmp_path / "btc.html").read_text(encoding="utf-8")
    data = data_of(page)
    assert len(data["open"]) == len(data["volume"]) == 70
    assert data["steps"].count(3600) == 68
    assert data["gaps"] == [[1704085200], [1704092400], [120], ["outage"]]
    assert "<title>BTCUSDC 1h</title>" in page
    assert "1 gap." in page


def test_chart_of_partly_missing_hours_marks_them_incomplete(settings: Settings, tmp_path: Path) -> None:
    with IngestionManager(settings) as manager:
        manager.update_assets_batch(["BTCUSDC"], START, START + timedelta(minutes=90))
        note = write_chart(manager, "BTCUSDC", "1h", file=tmp_path / "btc.html")
    assert note == "2 candles from 2024-01-01 00:00 to 2024-01-01 01:00 UTC; 1 incomplete; 0 gaps."
    assert data_of((tmp_path / "btc.html").read_text(encoding="utf-8"))["incomplete"] == [[1], [30], [60]]


@pytest.mark.parametrize(
    ("price", "decimals"), [(61_234.5, 1), (1_500.0, 0), (0.00001234, 8), (0.0305, 4)], ids=lambda value: f"{value}"
)
def test_axis_shows_as_many_decimals_as_the_prices_have(make_candles: Any, price: float, decimals: int) -> None:
    prices = dict.fromkeys(("open", "high", "low", "close"), price)
    assert _decimals(make_candles(minutes=3, **prices)) == decimals


def test_chart_page_asks_for_nothing_from_the_network(stored: Settings, tmp_path: Path) -> None:
    run(["--quiet", "chart", "BTCUSDC", "1h", "-o", "btc.html", "--no-open"])
    page = (tmp_path / "btc.html").read_text(encoding="utf-8")
    assert re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=", page) == []
    assert "default-src &#x27;none&#x27;" in page
    # The library itself lies in the page, with its licence.
    assert "TradingView Lightweight Charts" in page


def test_chart_opens_in_the_browser_unless_told_not_to(
    stored: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    assert run(["chart", "BTCUSDC", "4h"]) == 0
    file = stored.data.processed_data_path / "charts" / "BTCUSDC_4h.html"
    assert opened == [file.as_uri()]
    assert "note: The chart is in data/processed/charts/BTCUSDC_4h.html.\n" in capsys.readouterr().err


def test_chart_of_a_range_takes_the_candles_that_open_in_it(stored: Settings, tmp_path: Path) -> None:
    with IngestionManager(stored) as manager:
        note = write_chart(manager, "BTCUSDC", "1h", "2024-01-02", "2024-01-02", file=tmp_path / "a.html")
    assert note.startswith("24 candles from 2024-01-02 00:00 to 2024-01-02 23:00 UTC; 0 incomplete; 0 gaps")


def test_chart_of_too_many_candles_shows_the_last_and_says_so(
    stored: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("threadx_duck.charts.candles.MOST_CANDLES", 10)
    with IngestionManager(stored) as manager:
        note = write_chart(manager, "BTCUSDC", "1h", file=tmp_path / "a.html")
    assert "10 candles from 2024-01-03 14:00" in note
    assert "60 earlier candles are left out" in note


def test_chart_of_a_symbol_with_markup_in_its_name_is_escaped(
    settings: Settings, make_candles: Any, tmp_path: Path
) -> None:
    class Stub:
        def candles(self, *_: Any) -> Any:
            return make_candles(minutes=5)

        def gaps(self, *_: Any) -> Any:
            with IngestionManager(settings) as manager:
                manager.update_assets_batch(["BTCUSDC"], START, START + timedelta(minutes=3))
                return manager.gaps()

    write_chart(Stub(), "<script>alert(1)</script>", "1m", file=tmp_path / "a.html")  # type: ignore[arg-type]
    assert "<script>alert(1)" not in (tmp_path / "a.html").read_text(encoding="utf-8")


def test_chart_of_a_range_without_candles_says_so(stored: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["chart", "BTCUSDC", "1h", "--start", "2023-01-01", "--end", "2023-01-02"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("threadx: error: No 1h candle opens in this range. Stored: BTCUSDC, from 2")
    assert error.endswith(" UTC.\n")


def test_chart_into_a_folder_that_cannot_be_made_says_so(
    stored: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").write_text("")
    assert run(["chart", "BTCUSDC", "1h", "-o", "taken/a.html", "--no-open"]) == 2
    assert capsys.readouterr().err.startswith("threadx: error: Cannot write taken/a.html: ")


@pytest.mark.usefixtures("stored")
def test_chart_draws_and_its_axis_follows_the_wheel(browser: Browser, tmp_path: Path) -> None:
    run(["--quiet", "chart", "BTCUSDC", "1h", "-o", "btc.html", "--no-open"])
    page = browser.open(tmp_path / "btc.html")
    range_of = "JSON.stringify(window.threadxChart.price.priceScale().getVisibleRange())"
    whole = orjson.loads(page.evaluate(range_of))
    page.mouse.move(400, 300)
    for _ in range(6):
        page.mouse.wheel(0, -400)
    page.wait_for_function(f"JSON.parse({range_of}).to - JSON.parse({range_of}).from < {whole['to'] - whole['from']}")
    assert browser.complaints == []


@pytest.mark.usefixtures("stored")
def test_chart_tells_the_candle_under_the_pointer_and_the_gap(browser: Browser, tmp_path: Path) -> None:
    run(["--quiet", "chart", "BTCUSDC", "1h", "-o", "btc.html", "--no-open"])
    page = browser.open(tmp_path / "btc.html")
    place = "window.threadxChart.chart.timeScale().logicalToCoordinate({})"
    page.mouse.move(page.evaluate(place.format(4)), 300)
    page.wait_for_function("document.getElementById('values').textContent.startsWith('2024-01-01 04:00 UTC')")
    candle = page.locator("#values").inner_text()
    assert all(f"{name} " in candle for name in "OHLCV")
    assert "gap" not in candle
    # The outage has its place on the axis, though it has no candle.
    page.mouse.move(page.evaluate(place.format(6)), 300)
    page.wait_for_function("document.getElementById('values').textContent.startsWith('2024-01-01 06:00 UTC')")
    assert page.locator("#values").inner_text().split("UTC")[1].strip() == (
        "gap, outage: 120 minutes from 2024-01-01 05:00"
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.usefixtures("stored")
def test_chart_follows_the_screen_and_fits_a_phone(browser: Browser, tmp_path: Path, scheme: str) -> None:
    run(["--quiet", "chart", "BTCUSDC", "1h", "-o", "btc.html", "--no-open"])
    page = browser.open(tmp_path / "btc.html", width=390, height=780, scheme=scheme)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(21, 24, 28)"}[scheme]
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("#legend").inner_text() == "gap: outage"
    # TradingView's mark and link, as its licence asks.
    assert page.locator("a[href*='tradingview.com']").count() == 1


@pytest.mark.usefixtures("stored")
def test_chart_of_the_last_day_is_a_click_away(browser: Browser, tmp_path: Path) -> None:
    run(["--quiet", "chart", "BTCUSDC", "1h", "-o", "btc.html", "--no-open"])
    page = browser.open(tmp_path / "btc.html")
    page.get_by_role("button", name="1D").click()
    page.wait_for_function("window.threadxChart.chart.timeScale().getVisibleLogicalRange().from > 40")
    page.get_by_role("button", name="All").click()
    page.wait_for_function("window.threadxChart.chart.timeScale().getVisibleLogicalRange().from < 2")


def test_outage_of_the_fixture_is_what_the_gap_shows(stored: Settings) -> None:
    with IngestionManager(stored) as manager:
        (gap,) = manager.gaps(["BTCUSDC"]).to_pylist()
    assert (gap["gap_start"], gap["gap_end"], gap["reason"]) == (*OUTAGE, "outage")
