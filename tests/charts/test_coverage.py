"""``threadx coverage-map``: symbols by months, outages apart from what was not downloaded."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import pytest

from tests.charts.test_candles import data_of
from tests.support.browser import Browser
from threadx_duck import IngestionManager
from threadx_duck.audit.coverage import read_whole_coverage
from threadx_duck.cli.main import run
from threadx_duck.config import Settings

pytestmark = pytest.mark.slow


@pytest.fixture
def stored(settings: Settings) -> Settings:
    """An outage in both symbols; of one, half a day in between was never asked for."""
    with IngestionManager(settings) as manager:
        manager.update_assets_batch(["BTCUSDC"], "2024-01-01", "2024-01-03")
        manager.update_assets_batch(["ETHUSDC"], "2024-01-01", "2024-01-02T12:00")
        manager.update_assets_batch(["ETHUSDC"], "2024-01-03", "2024-01-03")
    return settings


@pytest.mark.usefixtures("stored")
def test_coverage_map_tells_outages_from_what_was_not_downloaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["coverage-map", "-o", "map.html", "--no-open"]) == 0
    assert "of 2 symbols in 1 month; 960 minutes are missing, 720 of them not downloaded." in capsys.readouterr().err
    data = data_of((tmp_path / "map.html").read_text())
    assert data["symbols"] == ["BTCUSDC", "ETHUSDC"]
    assert data["symbol"] == [0, 1]
    assert data["month"] == [2024 * 12] * 2
    assert data["expected"] == [4_320, 4_320]
    assert data["candles"] == [4_200, 3_480]
    assert data["reasons"] == {
        "not_published": [0, 0], "outage": [120, 120], "rejected": [0, 0], "not_downloaded": [0, 720],
    }  # fmt: skip


@pytest.mark.usefixtures("stored")
def test_coverage_map_asks_for_nothing_from_the_network(tmp_path: Path) -> None:
    run(["--quiet", "coverage-map", "-o", "map.html", "--no-open"])
    text = (tmp_path / "map.html").read_text()
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=", text)


@pytest.mark.usefixtures("stored")
def test_month_is_filled_in_proportion(browser: Browser, tmp_path: Path) -> None:
    run(["--quiet", "coverage-map", "-o", "map.html", "--no-open"])
    page = browser.open(tmp_path / "map.html")
    page.wait_for_function("[...document.querySelectorAll('canvas')].every((canvas) => canvas.drawn)")
    shares = page.evaluate("""() => [...document.querySelectorAll("canvas")].map((canvas) => {
        const pixels = canvas.getContext("2d").getImageData(0, 5, canvas.width, 1).data, counts = {};
        for (let i = 0; i < pixels.length; i += 4) {
            const colour = [pixels[i], pixels[i + 1], pixels[i + 2]].join();
            if (pixels[i + 3] === 255) counts[colour] = (counts[colour] || 0) + 1;
        }
        return counts;
    })""")
    green, blue, amber = "76,175,125", "47,111,222", "240,180,41"
    # Three days of January are a tenth of it; two hours are a hair, which is never left out.
    assert all(5 <= row[green] <= 7 and 1 <= row[blue] <= 2 for row in shares)
    assert amber not in shares[0]
    assert 1 <= shares[1][amber] <= 2
    assert browser.complaints == []


@pytest.mark.usefixtures("stored")
def test_map_tells_the_numbers_under_the_pointer_and_finds_symbols(browser: Browser, tmp_path: Path) -> None:
    run(["--quiet", "coverage-map", "-o", "map.html", "--no-open"])
    page = browser.open(tmp_path / "map.html", width=390, height=780, scheme="dark")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator("canvas").nth(1).hover(position={"x": 8, "y": 8})
    assert page.locator("#told").inner_text().splitlines() == [
        "ETHUSDC  Jan 2024",
        "3,480 of 4,320 minutes, 80.55 %",
        "outage: 120",
        "not downloaded: 720",
    ]
    page.locator("#filter").fill("btc")
    assert page.locator(".row:visible .name").all_inner_texts() == ["BTCUSDC\n97.22 %"]
    assert page.locator("#shown").inner_text() == "1 of 2"


def test_months_of_several_symbols_are_counted_between_first_and_last_candle(stored: Settings) -> None:
    with IngestionManager(stored) as manager:
        _, months = read_whole_coverage(manager.store)
    assert [(row["symbol"], row["cell_start"], row["expected"]) for row in months.to_pylist()] == [
        ("BTCUSDC", datetime(2024, 1, 1), 4_320),
        ("ETHUSDC", datetime(2024, 1, 1), 4_320),
    ]


def test_coverage_map_of_nothing_is_refused(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    with IngestionManager(settings) as manager, manager.store.writing():
        pass
    assert run(["coverage-map", "--no-open"]) == 2
    assert "Nothing is stored" in capsys.readouterr().err
