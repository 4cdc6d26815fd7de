"""``threadx chart``: what the page holds, and what is said when it cannot be made."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import OUTAGE, START
from threadx_duck import IngestionManager, Settings
from threadx_duck.charts import write_chart
from threadx_duck.cli.main import run


@pytest.fixture
def stored(settings: Settings) -> Settings:
    """Two symbols over three days, with an outage in them."""
    with IngestionManager(settings) as manager:
        manager.update_assets_batch(["BTCUSDC", "ETHUSDC"], START, START + timedelta(days=3))
    return settings


def traces_of(page: str) -> dict[str, dict[str, Any]]:
    """The traces of a page by name, as the browser gets them."""
    found = re.search(r"Plotly\.newPlot\(\s*\"[^\"]+\",\s*(\[.*?\]),\s*\{\"template\"", page, re.DOTALL)
    assert found
    return {trace["name"]: trace for trace in json.loads(found[1])}


def test_chart_page_holds_candles_volume_gaps_and_incomplete_ones(stored: Settings, tmp_path: Path) -> None:
    assert run(["--quiet", "chart", "BTCUSDC", "1h", "-o", "btc.html", "--no-open"]) == 0
    page = (tmp_path / "btc.html").read_text(encoding="utf-8")
    traces = traces_of(page)
    assert {"candles", "volume", "gap: outage"} <= set(traces)
    assert "<title>BTCUSDC 1h</title>" in page
    assert "1 gap." in page


def test_chart_of_partly_missing_hours_marks_them_incomplete(settings: Settings, tmp_path: Path) -> None:
    with IngestionManager(settings) as manager:
        manager.update_assets_batch(["BTCUSDC"], START, START + timedelta(minutes=90))
        note = write_chart(manager, "BTCUSDC", "1h", file=tmp_path / "btc.html")
    assert note == "2 candles from 2024-01-01 00:00 to 2024-01-01 01:00 UTC; 1 incomplete; 0 gaps."
    assert "incomplete" in traces_of((tmp_path / "btc.html").read_text(encoding="utf-8"))


def test_chart_page_asks_for_nothing_from_the_network(stored: Settings, tmp_path: Path) -> None:
    run(["--quiet", "chart", "BTCUSDC", "1h", "-o", "btc.html", "--no-open"])
    page = (tmp_path / "btc.html").read_text(encoding="utf-8")
    assert re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=", page) == []
    # The library itself lies in the page.
    assert len(page) > 1_000_000


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
    monkeypatch.setattr("threadx_duck.charts.MOST_CANDLES", 10)
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
    assert capsys.readouterr().err == "threadx: error: No 1h candles of BTCUSDC open in that range.\n"


def test_chart_into_a_folder_that_cannot_be_made_says_so(
    stored: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").write_text("")
    assert run(["chart", "BTCUSDC", "1h", "-o", "taken/a.html", "--no-open"]) == 2
    assert capsys.readouterr().err.startswith("threadx: error: Cannot write taken/a.html: ")


def test_chart_without_plotly_says_what_to_install(
    stored: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "plotly", None)
    assert run(["chart", "BTCUSDC", "1h"]) == 1
    assert capsys.readouterr().err == (
        "threadx: error: Charts need plotly, which is not installed. "
        "Install it with: pip install 'threadx_duck[chart]'\n"
    )


def test_chart_page_draws_in_a_browser_without_errors(stored: Settings, tmp_path: Path) -> None:
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no Chromium to draw the page in")
    run(["--quiet", "chart", "BTCUSDC", "1h", "-o", "btc.html", "--no-open"])
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=10000", "--dump-dom"]
    drawn = subprocess.run([*command, (tmp_path / "btc.html").as_uri()], capture_output=True, text=True, timeout=90)
    assert drawn.stdout.count('class="main-svg"') >= 2
    assert 'class="boxes"' in drawn.stdout or "trace boxes" in drawn.stdout


def test_outage_of_the_fixture_is_what_the_gap_shows(stored: Settings) -> None:
    with IngestionManager(stored) as manager:
        (gap,) = manager.gaps(["BTCUSDC"]).to_pylist()
    assert (gap["gap_start"], gap["gap_end"], gap["reason"]) == (*OUTAGE, "outage")
