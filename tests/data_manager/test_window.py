"""The Data Manager's page, driven as a person would under a virtual screen."""

from __future__ import annotations

import json
import sys
import threading
import time
import tkinter as tk
from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path
from tkinter import messagebox, ttk
from typing import Any

import pytest

from tests.conftest import END, OUTAGE
from threadx_duck import IngestionManager, Settings
from threadx_duck.cli.main import run
from threadx_duck.data_manager import DataManagerPage
from threadx_duck.data_manager.choices import FILE_NAME, Choices, load_choices, save_choices
from threadx_duck.data_manager.coverage.cells import column_starts
from threadx_duck.data_manager.options import PRESETS, preset_range
from threadx_duck.data_manager.widgets.log_view import MOST_LINES, Line
from threadx_duck.data_manager.window import DataManagerWindow
from threadx_duck.errors import UsageError
from threadx_duck.simulator import LoopbackExchange

pytestmark = pytest.mark.slow

JANUARY = datetime(2024, 1, 1)
PERIOD = ("2024-01-01", "2024-01-03")


@pytest.fixture
def on_screen(screen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", screen)
    # The page's clock; the exchange's stands there too.
    for module in ("coverage.snapshot", "options", "symbols"):
        monkeypatch.setattr(f"threadx_duck.data_manager.{module}.utc_now", lambda: END)


@pytest.fixture
def open_window(on_screen: None, settings: Settings) -> Iterator[Callable[[], DataManagerWindow]]:
    """Opens windows that are closed afterwards; an error in any of their callbacks fails the test."""
    opened: list[DataManagerWindow] = []
    errors: list[Any] = []

    def open_one() -> DataManagerWindow:
        window = DataManagerWindow(settings)
        window.report_callback_exception = lambda *error: errors.append(error[1])
        opened.append(window)
        pump(window, lambda: not window.page._first_look)
        return window

    yield open_one
    for window in opened:
        if is_open(window):
            window.page.cancel()
            window.destroy()
    join_threads()
    assert errors == []


@pytest.fixture
def window(open_window: Callable[[], DataManagerWindow]) -> DataManagerWindow:
    """The page in its window, over an empty store."""
    return open_window()


@pytest.fixture
def filled_window(settings: Settings, open_window: Callable[[], DataManagerWindow]) -> DataManagerWindow:
    """The page in its window, over two of three days of two symbols; the third was never asked for."""
    with IngestionManager(settings) as manager:
        manager.update_assets_batch(["BTCUSDC", "ETHUSDC"], "2024-01-01", "2024-01-02")
    return open_window()


def pump(window: tk.Misc, condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Lets the window work until something holds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "the page did not come that far"
        window.update()
        time.sleep(0.002)


def is_open(window: tk.Misc) -> bool:
    try:
        return bool(window.winfo_exists())
    except tk.TclError:
        return False


def join_threads() -> None:
    for thread in threading.enumerate():
        if thread.name.startswith("data-manager"):
            thread.join(timeout=60)
            assert not thread.is_alive()


def choose(page: DataManagerPage, *symbols: str, period: tuple[str, str] = PERIOD, **options: Any) -> None:
    """Adds what is not in the list yet, chooses it, and fills in the fields."""
    page._add([symbol for symbol in symbols if symbol not in page.symbols.symbols])
    page.symbols.select(symbols)
    page.options.start.set(period[0])
    page.options.end.set(period[1])
    for name, value in options.items():
        getattr(page.options, name).set(value)
    page.update()


def download(page: DataManagerPage) -> None:
    """Presses the button and waits for the end."""
    page.sidebar.download.invoke()
    looks = page._looks
    pump(page, lambda: not page.is_running)
    pump(page, lambda: page._looks > looks and page._shown_look == page._looks)


def row(page: DataManagerPage, symbol: str) -> dict[str, str]:
    """A row of the list as it is shown."""
    tree = page.symbols.tree
    return {name: str(tree.set(symbol, name)).strip() for name in tree["columns"]}


# The list of symbols


def test_list_of_a_store_shows_what_is_stored(filled_window: DataManagerWindow) -> None:
    assert row(filled_window.page, "BTCUSDC") == {
        "symbol": "BTCUSDC",
        "first": "2024-01-01",
        "last": "2024-01-02 23:59",
        "coverage": "95.83 %",
        "gaps": "1",
        "asked": "00:00",
        "state": "",
    }


def test_filter_shows_matching_symbols_and_select_all_takes_only_these(window: DataManagerWindow) -> None:
    page = window.page
    page._add(["BTCUSDC", "BTCEUR", "ETHUSDC"])
    page.symbols.filter.set("btc usd")
    assert page.symbols.shown == ["BTCUSDC"]
    page.symbols.filter.set("btc")
    page.symbols.tree.event_generate("<Control-a>")
    page.symbols.select_all_shown()
    assert page.symbols.selected == ["BTCEUR", "BTCUSDC"]


def test_clicks_with_control_and_shift_choose_several(window: DataManagerWindow) -> None:
    tree, page = window.page.symbols.tree, window.page
    page._add(["AAAUSDC", "BBBUSDC", "CCCUSDC", "DDDUSDC"])
    window.update()

    def click(symbol: str, modifier: str = "") -> None:
        x, y, width, height = tree.bbox(symbol, "symbol")  # type: ignore[str-unpack]
        for event in ("Button", "ButtonRelease"):
            tree.event_generate(f"<{modifier}{event}-1>", x=x + width // 2, y=y + height // 2)
        window.update()

    click("AAAUSDC")
    click("CCCUSDC", "Control-")
    assert page.symbols.selected == ["AAAUSDC", "CCCUSDC"]
    click("AAAUSDC")
    click("CCCUSDC", "Shift-")
    assert page.symbols.selected == ["AAAUSDC", "BBBUSDC", "CCCUSDC"]
    assert str(page.sidebar.download["text"]) == "Download Selected (3)"


def test_heading_clicked_twice_sorts_backwards(filled_window: DataManagerWindow) -> None:
    symbols = filled_window.page.symbols
    for expected in (["ETHUSDC", "BTCUSDC"], ["BTCUSDC", "ETHUSDC"]):
        symbols._sort("symbol")
        if symbols.shown != expected:
            symbols._sort("symbol")
        assert symbols.shown == expected


def test_added_symbol_is_validated_by_the_exchange(window: DataManagerWindow, exchange: LoopbackExchange) -> None:
    page = window.page
    page.sidebar.new_symbol.set(" btcusdc ")
    page.add_symbol()
    pump(window, lambda: page.symbols.symbols)
    assert page.symbols.selected == ["BTCUSDC"]
    assert row(page, "BTCUSDC")["state"] == "not stored yet"
    page.sidebar.new_symbol.set("NOSUCHCOIN")
    page.add_symbol()
    pump(window, lambda: "no symbol 'NOSUCHCOIN'" in str(page.strip.label["text"]))
    assert page.symbols.symbols == ["BTCUSDC"]


def test_symbols_of_the_exchange_are_filtered_and_chosen(window: DataManagerWindow, exchange: LoopbackExchange) -> None:
    chooser = window.page.choose_symbols()
    pump(window, lambda: chooser.tree.get_children())
    chooser.name.set("eth")
    assert chooser.tree.get_children() == ("ETHUSDC",)
    chooser.quote.set("BTC")
    assert chooser.tree.get_children() == ()
    chooser.quote.set("USDC")
    chooser.tree.selection_set("ETHUSDC")
    chooser.add.invoke()
    assert window.page.symbols.symbols == ["ETHUSDC"]


def test_symbols_of_an_exchange_that_fails_say_why(window: DataManagerWindow, exchange: LoopbackExchange) -> None:
    exchange.fail(451, times=None)
    chooser = window.page.choose_symbols()
    pump(window, lambda: "451" in str(chooser.message["text"]))


# The period


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        ("Last 7 days", ("2024-02-24", "2024-03-01")),
        ("This month", ("2024-03-01", "2024-03-01")),
        ("Last month", ("2024-02-01", "2024-02-29")),
        ("This year", ("2024-01-01", "2024-03-01")),
        ("Everything", ("2017-01-01", "")),
    ],
)
def test_preset_is_a_range_of_days(preset: str, expected: tuple[str, str]) -> None:
    assert preset in PRESETS
    assert preset_range(preset, date(2024, 3, 1)) == expected


def test_entry_that_is_no_time_is_told_at_once_and_not_downloaded(
    window: DataManagerWindow, exchange: LoopbackExchange
) -> None:
    page = window.page
    choose(page, "BTCUSDC", period=("2024-02-30", ""))
    assert "no such time as '2024-02-30'" in str(page.options.message["text"])
    page.download_selected()
    assert not page.is_running
    choose(page, "BTCUSDC", timeframes="1h, 7x")
    assert "Unknown timeframe '7x'" in str(page.options.message["text"])
    with pytest.raises(UsageError):
        page.options.read()


def test_calendar_chooses_a_day_by_mouse_and_by_keys(window: DataManagerWindow) -> None:
    options = window.page.options
    options.start.set("2024-01-31")
    calendar = options.start_field.open_calendar()
    calendar.event_generate("<Next>")
    calendar._turn(1)
    assert calendar.day == date(2024, 2, 29)
    next(button for button in calendar.days if button["text"] == "17").invoke()
    assert options.start.get() == "2024-02-17"
    calendar = options.end_field.open_calendar()
    window.update()
    assert calendar.day == END.date()
    calendar.focus_force()
    window.update()
    calendar.event_generate("<Right>")
    calendar.event_generate("<Down>")
    calendar.event_generate("<Return>")
    assert options.end.get() == "2024-01-12"


def test_timeframes_are_picked_in_their_order(window: DataManagerWindow) -> None:
    options = window.page.options
    for label in ("1d", "1h", "45m", "1d"):
        options._toggle(label)
    assert options.read().timeframes == ("1h", "45m")


# Downloading


def test_download_goes_on_past_a_failing_symbol_and_shows_its_sentence(
    window: DataManagerWindow, settings: Settings, exchange: LoopbackExchange
) -> None:
    page = window.page
    exchange.fail(400, times=None, match="ETHUSDC", code=-1121)
    choose(page, "BTCUSDC", "ETHUSDC", "SOLUSDC")
    download(page)
    with IngestionManager(settings) as manager:
        error = manager.update_assets_batch(["ETHUSDC"], *PERIOD)["ETHUSDC"].error
    assert row(page, "ETHUSDC")["state"] == error
    assert page.symbols.tree.item("ETHUSDC", "tags") == ("failed",)
    assert row(page, "BTCUSDC")["state"] == "done: 4,200 new"
    assert row(page, "BTCUSDC")["coverage"] == "97.22 %"
    assert row(page, "SOLUSDC")["state"] == "done: 2,160 new"
    assert "1 of 3 symbols failed" in str(page.strip.label["text"])
    assert any("ERROR" in line and "ETHUSDC" in line for line in page.log.shown)


def test_download_names_timeframes_and_validates_them(window: DataManagerWindow) -> None:
    choose(window.page, "BTCUSDC", timeframes="1h")
    download(window.page)
    assert window.page.symbols.state_of("BTCUSDC").startswith("done: 4,200 new; 1h: 70 candles")


def test_download_that_cannot_begin_says_why(window: DataManagerWindow, exchange: LoopbackExchange) -> None:
    exchange.fail(451, times=None)
    choose(window.page, "BTCUSDC", period=("2024-01-01", ""))
    page = window.page
    page.options.end.set("2999-01-01")
    page.sidebar.download.invoke()
    pump(window, lambda: not page.is_running)
    assert "451" in str(page.strip.label["text"])


def test_dry_run_shows_the_plan_and_downloads_nothing(
    window: DataManagerWindow, settings: Settings, exchange: LoopbackExchange
) -> None:
    page = window.page
    choose(page, "BTCUSDC", "ETHUSDC", dry_run=True)
    assert str(page.sidebar.download["text"]) == "Plan Selected (2)"
    download(page)
    rows = [page.plan.tree.item(item, "values") for item in page.plan.tree.get_children()]
    assert [(values[0], values[1]) for values in rows] == [("BTCUSDC", "rest"), ("ETHUSDC", "rest")]
    assert page.tabs.select() == str(page.plan)
    # The question for the listing brings the first minute of each of the two.
    assert "8,638 minutes in 10 requests" in str(page.plan.summary["text"])
    assert not settings.store.database.exists()
    assert [request.params["limit"] for request in exchange.requests.klines] == ["1", "1"]


def test_window_never_freezes_while_a_slow_download_runs(window: DataManagerWindow, exchange: LoopbackExchange) -> None:
    page = window.page
    exchange.latency = 1.0
    choose(page, "BTCUSDC", "ETHUSDC", "SOLUSDC")
    pauses, moments = [0.0], [time.monotonic()]
    began = time.monotonic()

    def tick() -> None:
        moments.append(time.monotonic())
        pauses.append(moments[-1] - moments[-2])
        if page.is_running:
            window.after(5, tick)
        else:
            window.quit()

    page.sidebar.download.invoke()
    window.after(5, tick)
    window.mainloop()
    total = time.monotonic() - began
    assert "Done" in str(page.strip.label["text"])
    # The exchange alone takes over two seconds; a page that waited for it would have paused that long.
    assert total > 2.0
    assert max(pauses) < total / 2
    assert len(pauses) > 20


def test_cancel_stops_after_the_batch_in_hand_and_the_next_download_continues(
    window: DataManagerWindow, settings: Settings, exchange: LoopbackExchange
) -> None:
    page = window.page
    exchange.latency = 0.4
    exchange.fail("stall", times=1, match=lambda request: "1704240000000" in str(request.query), seconds=8.0)
    choose(page, "BTCUSDC", "ETHUSDC")
    page.sidebar.download.invoke()
    assert page.sidebar.download.instate(["disabled"])
    pump(window, lambda: "%" in page.symbols.state_of("BTCUSDC") or "received" in page.symbols.state_of("BTCUSDC"))
    page.strip.cancel.invoke()
    pump(window, lambda: not page.is_running)
    assert str(page.strip.label["text"]).startswith("Stopped")
    exchange.clear_faults()
    exchange.latency = 0.0
    page.sidebar.new_symbol.set("SOLUSDC")
    page.add_symbol()
    pump(window, lambda: "SOLUSDC" in page.symbols.symbols)
    page.symbols.select(["BTCUSDC", "ETHUSDC"])
    download(page)
    assert row(page, "BTCUSDC")["last"] == "2024-01-03 23:59"
    assert row(page, "BTCUSDC")["gaps"] == "1"


def test_cancel_while_planning_downloads_nothing(
    window: DataManagerWindow, settings: Settings, exchange: LoopbackExchange
) -> None:
    page = window.page
    exchange.latency = 0.5
    choose(page, "BTCUSDC", period=("2024-01-01", ""))
    page.options.end.set("2999-01-01")
    page.sidebar.download.invoke()
    pump(window, lambda: exchange.requests)
    page.cancel()
    pump(window, lambda: not page.is_running)
    assert exchange.requests.klines == []


def test_second_order_while_one_runs_is_refused(window: DataManagerWindow, exchange: LoopbackExchange) -> None:
    page = window.page
    exchange.latency = 0.3
    choose(page, "BTCUSDC")
    page.download_selected()
    page.download_selected()
    assert "A download is running" in str(page.strip.label["text"])
    pump(window, lambda: not page.is_running)


# The coverage map


def test_map_tells_an_outage_and_counts_nothing_that_was_not_asked_for(filled_window: DataManagerWindow) -> None:
    coverage = filled_window.page.coverage
    cell = coverage.cell_at("BTCUSDC", JANUARY)
    assert cell is not None
    assert cell.absent == {"outage": 120}
    assert cell.describe("month").splitlines() == [
        "BTCUSDC, January 2024",
        "2,760 of 2,880 minutes (95.83 %)",
        "120 outage of the exchange",
        "1,440 outside first and last candle, not asked for yet",
    ]
    colours = [colour for _, colour in coverage._paint_cell("BTCUSDC", JANUARY)]
    assert len(set(colours)) == 2


def test_map_shows_numbers_where_the_pointer_is(filled_window: DataManagerWindow) -> None:
    coverage = filled_window.page.coverage
    filled_window.update()
    x, y = coverage.grid_view.middle_of("ETHUSDC", JANUARY)
    coverage.grid_view.canvas.event_generate("<Motion>", x=x, y=y)
    filled_window.update()
    assert coverage.tooltip.text.startswith("ETHUSDC, January 2024")
    coverage.grid_view.canvas.event_generate("<Motion>", x=2, y=2)
    filled_window.update()
    assert coverage.tooltip.text == ""


def test_map_zooms_to_days_and_back(filled_window: DataManagerWindow) -> None:
    coverage = filled_window.page.coverage
    x, _ = coverage.grid_view.middle_of("BTCUSDC", JANUARY)
    coverage.grid_view.canvas.event_generate("<Button-1>", x=x, y=3)
    pump(filled_window, lambda: coverage.month == JANUARY)
    outage_day = coverage.cell_at("BTCUSDC", datetime(2024, 1, 1))
    assert outage_day is not None
    assert outage_day.absent == {"outage": (OUTAGE[1] - OUTAGE[0]).seconds // 60}
    third = coverage.cell_at("BTCUSDC", datetime(2024, 1, 3))
    assert third is not None
    assert (third.expected, third.absent, third.not_asked) == (0, {}, 1_440)
    assert coverage._paint_cell("BTCUSDC", datetime(2024, 1, 3)) == []
    coverage.later.invoke()
    pump(filled_window, lambda: coverage.month == datetime(2024, 2, 1))
    coverage.back.invoke()
    pump(filled_window, lambda: coverage.month is None)


def test_click_on_a_cell_downloads_just_that(filled_window: DataManagerWindow, exchange: LoopbackExchange) -> None:
    page = filled_window.page
    page._look(JANUARY)
    pump(filled_window, lambda: page.coverage.month == JANUARY)
    filled_window.update()
    asked = len(exchange.requests.klines)
    x, y = page.coverage.grid_view.middle_of("BTCUSDC", datetime(2024, 1, 3))
    page.coverage.grid_view.canvas.event_generate("<Button-1>", x=x, y=y)
    page.coverage.menu.unpost()
    page.coverage.menu.invoke(0)
    pump(filled_window, lambda: page.symbols.state_of("BTCUSDC") == "done: 1,440 new" and not page.is_running)
    assert {request.symbol for request in exchange.requests.klines[asked:]} == {"BTCUSDC"}
    third = datetime(2024, 1, 3)
    pump(filled_window, lambda: (cell := page.coverage.cell_at("BTCUSDC", third)) and cell.present == 1_440)


def test_repair_of_a_cell_asks_again_for_all_of_it(
    filled_window: DataManagerWindow, exchange: LoopbackExchange
) -> None:
    page = filled_window.page
    asked = len(exchange.requests.klines)
    cell = page.coverage.cell_at("ETHUSDC", JANUARY)
    assert cell is not None
    page.coverage.open_menu("ETHUSDC", JANUARY)
    page.coverage.menu.unpost()
    page.coverage.menu.invoke(1)
    pump(filled_window, lambda: "1,440 new" in page.symbols.state_of("ETHUSDC") and not page.is_running)
    # The listing probe brings the first minute; the rest of what is stored is asked for again as well.
    assert "1704067260000" in {request.params["startTime"] for request in exchange.requests.klines[asked:]}


def test_map_is_moved_through_by_keys(filled_window: DataManagerWindow) -> None:
    grid = filled_window.page.coverage.grid_view
    grid.canvas.focus_force()
    filled_window.update()
    assert grid.focused == ("BTCUSDC", JANUARY)
    grid.canvas.event_generate("<Down>")
    filled_window.update()
    assert grid.focused == ("ETHUSDC", JANUARY)


def test_columns_of_the_map_are_months_or_days() -> None:
    assert column_starts(datetime(2023, 11, 17, 5), datetime(2024, 2, 1), "month") == [
        datetime(2023, 11, 1),
        datetime(2023, 12, 1),
        datetime(2024, 1, 1),
    ]
    assert len(column_starts(datetime(2024, 2, 1), datetime(2024, 3, 1), "day")) == 29


# Chart, log


def test_chart_button_opens_the_page_of_the_chosen_symbol(
    filled_window: DataManagerWindow, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    page = filled_window.page
    page.sidebar.chart_timeframe.set("4h")
    page.symbols.select(["ETHUSDC"])
    filled_window.update()
    page.sidebar.chart.invoke()
    pump(filled_window, lambda: opened)
    assert opened == [(settings.data.processed_data_path / "charts" / "ETHUSDC_4h.html").as_uri()]


def test_chart_that_cannot_be_written_says_so(filled_window: DataManagerWindow, settings: Settings) -> None:
    settings.data.processed_data_path.mkdir(parents=True)
    (settings.data.processed_data_path / "charts").write_text("")
    page = filled_window.page
    page.symbols.select(["ETHUSDC"])
    filled_window.update()
    page.open_chart()
    pump(filled_window, lambda: "Cannot write" in str(page.strip.label["text"]))


def test_log_shows_lines_of_a_level_with_a_text_and_stays_bounded(window: DataManagerWindow) -> None:
    log = window.page.log
    log.clear()
    log.add(Line(10, "DEBUG  small"))
    log.add(Line(20, "INFO  one"))
    log.add(Line(40, "ERROR  two\nTraceback"))
    assert log.shown == ["INFO  one", "ERROR  two Traceback"]
    log.level.set("ERROR")
    assert log.shown == ["ERROR  two Traceback"]
    log.level.set("DEBUG")
    log.filter.set("SMALL")
    assert log.shown == ["DEBUG  small"]
    log.filter.set("")
    for number in range(MOST_LINES + 10):
        log.add(Line(20, f"INFO  {number}"))
    assert len(log.shown) == MOST_LINES
    assert log.shown[0] == "INFO  10"


def test_log_file_of_the_page_is_written(window: DataManagerWindow, settings: Settings) -> None:
    text = (settings.logging.directory / "tkinter_app.log").read_text(encoding="utf-8")
    assert "threadx_duck.data_manager: The page shows " in text


# The window, and other people's


def test_page_lives_in_a_tab_of_another_application(on_screen: None, settings: Settings) -> None:
    root = tk.Tk()
    notebook = ttk.Notebook(root)
    notebook.pack(fill="both", expand=True)
    notebook.add(ttk.Label(notebook, text="mine"), text="Mine")
    theme = ttk.Style(root).theme_use()
    page = DataManagerPage(notebook, padding="10")
    notebook.add(page, text="Data")
    notebook.select(str(page))
    choose(page, "BTCUSDC")
    download(page)
    assert page.symbols.state_of("BTCUSDC") == "done: 4,200 new"
    assert ttk.Style(root).theme_use() == theme
    notebook.forget(str(page))
    page.destroy()
    root.update()
    root.destroy()
    join_threads()


def test_page_destroyed_while_it_downloads_stops_cleanly(
    on_screen: None, settings: Settings, exchange: LoopbackExchange
) -> None:
    root = tk.Tk()
    page = DataManagerPage(root)
    exchange.latency = 0.3
    choose(page, "BTCUSDC", "ETHUSDC")
    page.download_selected()
    pump(root, lambda: exchange.requests)
    root.destroy()
    join_threads()
    with IngestionManager(settings) as manager:
        exchange.latency = 0.0
        manager.update_assets_batch(["BTCUSDC"], *PERIOD)
        assert manager.overview().to_pylist()[0]["candles"] == 4_200


def test_window_closed_while_it_downloads_asks_then_stops_cleanly(
    window: DataManagerWindow, settings: Settings, exchange: LoopbackExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([False, True])
    asked: list[str] = []

    def answer(title: str, *_: Any, **__: Any) -> bool:
        asked.append(title)
        return next(answers)

    monkeypatch.setattr(messagebox, "askyesno", answer)
    page = window.page
    exchange.latency = 0.5
    choose(page, "BTCUSDC", "ETHUSDC")
    page.download_selected()
    pump(window, lambda: exchange.requests)
    page.close_when_done(window.close)
    assert page.is_running
    page.close_when_done(window.close)
    pump(window, lambda: not is_open(window)) if is_open(window) else None
    assert asked == ["A download is running"] * 2
    join_threads()
    assert json.loads((settings.data.base_data_path / FILE_NAME).read_text())["selected"] == ["BTCUSDC", "ETHUSDC"]


def test_window_opened_again_remembers_the_last_choices(
    open_window: Callable[[], DataManagerWindow], settings: Settings
) -> None:
    first = open_window()
    first.geometry("1100x720+20+30")
    choose(first.page, "BTCUSDC", "SOLUSDC", source="rest", timeframes="1h, 4h")
    first.page.sidebar.chart_timeframe.set("1d")
    first.switch_theme()
    first.update()
    first.close()
    second = open_window()
    second.update()
    page = second.page
    assert page.symbols.selected == ["BTCUSDC", "SOLUSDC"]
    assert (page.options.start.get(), page.options.end.get()) == PERIOD
    assert page.options.read().timeframes == ("1h", "4h")
    assert page.options.source.get() == "rest"
    assert page.sidebar.chart_timeframe.get() == "1d"
    assert second.is_dark
    assert second.geometry().startswith("1100x720")


def test_window_without_the_theme_package_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, open_window: Callable[[], DataManagerWindow]
) -> None:
    monkeypatch.setitem(sys.modules, "sv_ttk", None)
    window = open_window()
    assert ttk.Style(window).theme_use() == "clam"
    assert "threadx_duck[ui]" in " ".join(texts_of(window))
    window.switch_theme()


def test_window_of_least_size_cuts_no_button_off(window: DataManagerWindow) -> None:
    window.geometry("1024x700")
    pump(window, lambda: window.winfo_width() == 1024 and window.winfo_height() == 700)
    window.update()
    for widget in descendants(window):
        if isinstance(widget, ttk.Button | ttk.Entry | ttk.Combobox) and widget.winfo_ismapped():
            right = widget.winfo_rootx() - window.winfo_rootx() + widget.winfo_width()
            bottom = widget.winfo_rooty() - window.winfo_rooty() + widget.winfo_height()
            assert right <= 1024, widget
            assert bottom <= 700, widget
            assert widget.winfo_width() >= min(widget.winfo_reqwidth(), 60), widget


def test_every_control_is_reached_by_the_tab_key(window: DataManagerWindow) -> None:
    window.page._add(["BTCUSDC"])
    window.page.symbols.select(["BTCUSDC"])
    window.update()
    reached, widget = set(), window.page.symbols.filter_box
    for _ in range(200):
        reached.add(str(widget))
        widget = widget.tk_focusNext()  # type: ignore[assignment]
        if str(widget) in reached:
            break
    page = window.page
    for control in (page.sidebar.download, page.sidebar.chart, page.symbols.tree, page.coverage.grid_view.canvas):
        assert str(control) in reached


def descendants(widget: tk.Misc) -> Iterator[tk.Misc]:
    for child in widget.winfo_children():
        yield child
        yield from descendants(child)


def texts_of(widget: tk.Misc) -> Iterator[str]:
    return (str(child["text"]) for child in descendants(widget) if isinstance(child, ttk.Label))


def test_choices_of_a_broken_file_are_the_defaults(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("{")
    assert load_choices(tmp_path) == Choices()
    (tmp_path / FILE_NAME).write_text('{"dark": "yes", "start": "2024-01-01", "added": [1], "other": 1}')
    assert load_choices(tmp_path) == Choices(start="2024-01-01")


def test_choices_that_cannot_be_written_are_no_failure(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    save_choices(tmp_path / "taken", Choices())
    assert (tmp_path / "taken").read_text() == ""


def test_ui_without_a_display_says_so_in_one_line(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    if sys.platform != "linux":
        pytest.skip("only X needs a display to be named")
    assert run(["ui"]) == 1
    assert capsys.readouterr().err.startswith("threadx: error: There is no display to open a window on.")


def test_ui_without_tkinter_says_so_in_one_line(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tkinter", None)
    assert run(["ui"]) == 1
    assert capsys.readouterr().err.startswith("threadx: error: This Python has no tkinter. Install it")


def test_ui_opens_the_window(on_screen: None, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def loop(window: DataManagerWindow) -> None:
        seen.append(window.title())
        pump(window, lambda: not window.page._first_look)
        window.close()

    monkeypatch.setattr(DataManagerWindow, "mainloop", loop)
    assert run(["ui"]) == 0
    join_threads()
    assert seen == ["threadx Data Manager"]
