"""One store of odd symbols: `status`, the Data Manager and `coverage-map` tell the same of it, to the last digit."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tests.charts.test_candles import data_of
from tests.data_manager.test_window import is_open, join_threads, pump, row
from tests.support.browser import Browser
from tests.support.evidence_helpers import DAY, HOUR, MINUTE, manager_of, threadx
from threadx_duck.data_manager.coverage.cells import Cell
from threadx_duck.data_manager.window import DataManagerWindow
from threadx_duck.ingest import IngestionManager
from threadx_duck.simulator import LoopbackExchange, Market, generate_market

pytestmark = pytest.mark.slow

START = datetime(2024, 1, 15)
END = START + 32 * DAY
OUTAGE = (START + 5 * HOUR, START + 7 * HOUR)
LACKING = START + 20 * DAY

# Every symbol that is stored, with what it must show; NONEUSDC is listed and was never asked for.
SHOWN = {
    "BASEUSDC": "99.73 %",  # whole but for the outage
    "GONEUSDC": "98.80 %",  # delisted after a week, asked to the end
    "IMPTUSDC": "83.33 %",  # imported only, with a hole
    "LATEUSDC": "100.00 %",  # listed in the second week, asked from the start
    "PARTUSDC": "9.67 %",  # asked in two pieces
    "SOLEUSDC": "100.00 %",  # one candle
    "THINUSDC": "0.01 %",  # imported: the first and the last minute of a month
    "TINYUSDC": "99.99 %",  # lacks one minute of a month
}

# An independent count, minute by minute: of each symbol and month what is expected, stored, and missing without a
# request.
COUNT = """
    with spans as (select symbol, min(open_time) as first, max(open_time) as last from candles_1m group by symbol),
    minutes as (
        select symbol, unnest(generate_series(first, last, interval '1 minute')) as minute from spans
    )
    select
        minutes.symbol,
        date_trunc('month', minute)::timestamp as month,
        count(*) as expected,
        count(candle.open_time) as stored,
        count(*) filter (candle.open_time is null and not exists (
            from requests as r
            where r.symbol = minutes.symbol and r.timeframe = '1m' and minute >= range_start and minute < range_end
        )) as not_downloaded
    from minutes left join candles_1m as candle on candle.symbol = minutes.symbol and candle.open_time = minute
    group by all
    order by all
"""


def percent(stored: int, expected: int) -> str:
    """The percentage by whole numbers: rounded down, never 0.00 of something."""
    hundredths = max(1, 10_000 * stored // expected)
    return f"{hundredths // 100}.{hundredths % 100:02d} %"


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[IngestionManager]:
    listed = {"LATEUSDC": START + 8 * DAY, "TINYUSDC": START + DAY}
    market = Market(
        generate_market(
            [*(set(SHOWN) - {"THINUSDC"}), "THINUSDC", "NONEUSDC"],
            start=START,
            end=END,
            outages=[OUTAGE],
            listings=listed,
            delistings={"GONEUSDC": START + 7 * DAY},
            pauses={"TINYUSDC": (LACKING, LACKING + MINUTE)},
        )
    )
    with LoopbackExchange(market, now=END.replace(tzinfo=UTC)) as exchange, manager_of(tmp_path, exchange) as manager:
        whole = ["BASEUSDC", "GONEUSDC", "LATEUSDC", "TINYUSDC"]
        assert {result.status for result in manager.update_assets_batch(whole, START, END).values()} == {"ok"}
        manager.update_assets_batch(["PARTUSDC"], START + DAY, START + 2 * DAY)
        manager.update_assets_batch(["PARTUSDC"], START + 30 * DAY, START + 32 * DAY)
        manager.update_assets_batch(["SOLEUSDC"], START + DAY, START + DAY + MINUTE)
        import_minutes(tmp_path, market, "THINUSDC", [START, END - MINUTE])
        import_minutes(tmp_path, market, "IMPTUSDC", [START + DAY + i * MINUTE for i in range(60) if not 10 <= i < 20])
        yield manager


def import_minutes(folder: Path, market: Market, symbol: str, minutes: list[datetime]) -> None:
    candles = market[symbol].candles
    chosen = pc.is_in(candles["open_time"].cast(pa.timestamp("us")), pa.array(minutes, pa.timestamp("us")))
    pq.write_table(candles.filter(chosen), folder / f"{symbol}.parquet")
    assert threadx(folder, "import", f"{symbol}.parquet", "--symbol", symbol) == 0


def count_independently(manager: IngestionManager) -> dict[tuple[str, datetime], tuple[int, int, int]]:
    with closing(duckdb.connect(str(manager.store.path), read_only=True)) as connection:
        return {(symbol, month): tuple(counts) for symbol, month, *counts in connection.execute(COUNT).fetchall()}


def in_status(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, str], dict[str, str]]:
    """The percentages of the table as printed, and those of the JSON with two decimals."""
    capsys.readouterr()
    assert threadx(folder, "status") == 0
    table = dict(re.findall(r"(?m)^(\w+USDC) .*? ([\d.]+ %)", capsys.readouterr().out))
    assert threadx(folder, "status", "--json") == 0
    rows = json.loads(capsys.readouterr().out)["symbols"]
    return table, {entry["symbol"]: f"{entry['complete']:.2f} %" for entry in rows}


def in_map(folder: Path, browser: Browser) -> tuple[dict[str, str], dict[str, Any]]:
    """The percentages that the page shows in the browser, and its data."""
    assert threadx(folder, "--quiet", "coverage-map", "-o", "map.html", "--no-open") == 0
    page = browser.open(folder / "map.html")
    shown = dict(text.splitlines() for text in page.locator(".row .name").all_inner_texts())
    assert browser.complaints == []
    return shown, data_of((folder / "map.html").read_text())


def in_data_manager(
    manager: IngestionManager, screen: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[dict[str, str], dict[tuple[str, datetime], Cell]]:
    """The percentages of the list in a real window, and the cells of the months."""
    for module in ("coverage.snapshot", "options", "symbols"):
        monkeypatch.setattr(f"threadx_duck.data_manager.{module}.utc_now", lambda: END + 40 * DAY)
    monkeypatch.setenv("DISPLAY", screen)
    window = DataManagerWindow(manager.settings)
    try:
        pump(window, lambda: not window.page._first_look)
        shown = {symbol: row(window.page, symbol)["coverage"] for symbol in window.page.symbols.symbols}
        return shown, dict(window.page.coverage._cells)
    finally:
        if is_open(window):
            window.destroy()
        join_threads()


def test_status_data_manager_and_map_tell_the_same(
    stored: IngestionManager,
    tmp_path: Path,
    browser: Browser,
    screen: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counts = count_independently(stored)
    sums = {
        symbol: [sum(of[place] for (name, _), of in counts.items() if name == symbol) for place in (0, 1)]
        for symbol in SHOWN
    }
    assert {symbol: percent(held, expected) for symbol, (expected, held) in sums.items()} == SHOWN
    table, document = in_status(tmp_path, capsys)
    assert table == SHOWN
    assert document == SHOWN
    shown, data = in_map(tmp_path, browser)
    assert shown == SHOWN
    listed, cells = in_data_manager(stored, screen, monkeypatch)
    assert listed == SHOWN

    months = {
        (data["symbols"][place], datetime(number // 12, number % 12 + 1, 1)): (*of, data["shares"][share])
        for place, number, share, *of in zip(
            *(data[name] for name in ("symbol", "month", "share", "expected", "candles")),
            data["reasons"]["not_downloaded"],
            strict=True,
        )
    }
    expected = {place: (*of, percent(of[1], of[0])) for place, of in counts.items()}
    assert months == expected
    counted = {place: cell for place, cell in cells.items() if cell.expected}
    assert {
        place: (cell.expected, cell.present, cell.not_downloaded, f"{cell.complete:.2f} %")
        for place, cell in counted.items()
    } == expected
    assert all(expected[place][3] in cell.describe("month") for place, cell in counted.items())


def test_nothing_is_not_downloaded_outside_of_what_was_asked_for(stored: IngestionManager) -> None:
    rows = stored.coverage_map(START - 40 * DAY, END + timedelta(days=40), "day").to_pylist()
    lacking: dict[str, list[datetime]] = {symbol: [] for symbol in SHOWN}
    for cell in rows:
        if cell["not_downloaded"]:
            lacking[cell["symbol"]].append(cell["cell_start"])
    between = [START + number * DAY for number in range(2, 30)]
    imported = [START + number * DAY for number in range(32)]
    assert lacking == {symbol: [] for symbol in SHOWN} | {
        "PARTUSDC": between,
        "THINUSDC": imported,
        "IMPTUSDC": [START + DAY],
    }
    assert sum(cell["not_downloaded"] for cell in rows if cell["symbol"] == "IMPTUSDC") == 10
