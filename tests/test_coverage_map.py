"""``threadx coverage-map``: symbols by months, outages apart from what was not downloaded."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from threadx_duck import IngestionManager
from threadx_duck.cli.main import run
from threadx_duck.config import Settings
from threadx_duck.coverage_map import state_of


@pytest.fixture
def stored(settings: Settings) -> Settings:
    """An outage in both symbols; of one, half a day in between was never asked for."""
    with IngestionManager(settings) as manager:
        manager.update_assets_batch(["BTCUSDC"], "2024-01-01", "2024-01-03")
        manager.update_assets_batch(["ETHUSDC"], "2024-01-01", "2024-01-02T12:00")
        manager.update_assets_batch(["ETHUSDC"], "2024-01-03", "2024-01-03")
    return settings


def _heatmap(page: str) -> dict[str, Any]:
    start = page.rindex("Plotly.newPlot(")
    data, _ = json.JSONDecoder().raw_decode(page, page.index("[", start))
    return next(trace for trace in data if trace["type"] == "heatmap")


@pytest.mark.usefixtures("stored")
def test_coverage_map_tells_outages_from_what_was_not_downloaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["coverage-map", "-o", "map.html", "--no-open"]) == 0
    assert "of 2 symbols in 2 months; 960 minutes are missing, 720 of them not downloaded." in capsys.readouterr().err
    heatmap = _heatmap((tmp_path / "map.html").read_text())
    assert heatmap["y"] == ["BTCUSDC", "ETHUSDC"]
    assert heatmap["x"] == ["2024-01"]
    assert heatmap["z"] == [[2], [4]]
    assert heatmap["customdata"] == [
        [["4,200", "4,320", "97.22 %", "120", "0", "0", "0"]],
        [["3,480", "4,320", "80.56 %", "120", "0", "0", "720"]],
    ]


@pytest.mark.usefixtures("stored")
def test_coverage_map_asks_for_nothing_from_the_network(tmp_path: Path) -> None:
    run(["--quiet", "coverage-map", "-o", "map.html", "--no-open"])
    text = (tmp_path / "map.html").read_text()
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=", text)


@pytest.mark.usefixtures("stored")
def test_coverage_map_draws_in_a_browser_without_errors(tmp_path: Path) -> None:
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no browser on this machine")
    run(["--quiet", "coverage-map", "-o", "map.html", "--no-open"])
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", "--virtual-time-budget=8000"]
    page = subprocess.run(
        [*command, (tmp_path / "map.html").as_uri()], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert "not downloaded" in page
    assert 'class="hm"' in page


def test_months_of_several_symbols_are_counted_between_first_and_last_candle(stored: Settings) -> None:
    with IngestionManager(stored) as manager:
        rows = manager.store.query("queries/coverage_by_month").to_pylist()
    assert [(row["symbol"], row["month"], row["expected"]) for row in rows] == [
        ("BTCUSDC", datetime(2024, 1, 1), 4_320),
        ("ETHUSDC", datetime(2024, 1, 1), 4_320),
    ]


@pytest.mark.parametrize(
    ("missing", "state"),
    [
        pytest.param({}, "complete", id="nothing"),
        pytest.param({"outage": 3, "not_published": 9}, "outage", id="an outage"),
        pytest.param({"outage": 300, "not_downloaded": 1}, "not_downloaded", id="a minute not downloaded"),
    ],
)
def test_month_is_coloured_by_what_needs_somebody(missing: dict[str, int], state: str) -> None:
    none = dict.fromkeys(("outage", "not_published", "rejected", "not_downloaded"), 0)
    assert state_of(none | missing) == state


def test_coverage_map_of_nothing_is_refused(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    with IngestionManager(settings) as manager, manager.store.writing():
        pass
    assert run(["coverage-map", "--no-open"]) == 2
    assert "Nothing is stored" in capsys.readouterr().err
