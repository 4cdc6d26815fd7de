"""The Data Manager's page: builds its parts and connects them."""

from __future__ import annotations

import logging
import tkinter as tk
import webbrowser
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from tkinter import messagebox, ttk
from typing import Any

from threadx_duck.charts.candles import write_chart
from threadx_duck.config import Settings, get_settings
from threadx_duck.config.logs import ROOT
from threadx_duck.data_manager.choices import load_choices, save_choices
from threadx_duck.data_manager.coverage.cells import Cell
from threadx_duck.data_manager.coverage.map import CoverageMap
from threadx_duck.data_manager.coverage.snapshot import Snapshot, take_snapshot
from threadx_duck.data_manager.downloads import Downloads, Order, Results
from threadx_duck.data_manager.options import OptionsPanel
from threadx_duck.data_manager.sidebar import Sidebar
from threadx_duck.data_manager.symbols import SymbolList
from threadx_duck.data_manager.widgets.chooser import SymbolChooser
from threadx_duck.data_manager.widgets.log_view import LogForwarder, LogView
from threadx_duck.data_manager.widgets.plan_table import PlanTable
from threadx_duck.data_manager.widgets.progress_strip import ProgressStrip
from threadx_duck.data_manager.widgets.theme import scaled
from threadx_duck.data_manager.work import Worker
from threadx_duck.errors import UsageError

logger = logging.getLogger("threadx_duck.data_manager")

# How often the page checks whether another process has written to the store.
_WATCH_MILLISECONDS = 20_000


class DataManagerPage(ttk.Frame):
    """A page that downloads candles, shows what is stored, and repairs it; put it anywhere in a Tk application.

    It follows the theme of the application. Settings come from `get_settings` unless you give them.
    Close a window through `close_when_done`. If the page is destroyed while it downloads, the download
    stops after the batch in hand.
    """

    def __init__(self, parent: tk.Misc, padding: Any = "10", *, settings: Settings | None = None) -> None:
        super().__init__(parent, padding=padding)
        self.settings = settings or get_settings()
        self.choices = load_choices(self.settings.data.base_data_path)
        self._worker = Worker(self)
        # Reads of the store are numbered: the page drops the result of one if a later read has begun.
        self._looks = self._shown_look = 0
        self._store_time = 0.0
        self._on_closed: Any = None
        self._build()
        self.downloads = Downloads(
            self.settings, self._worker, self.symbols, self.strip, self._show_buttons, self._download_ended
        )
        self._forwarder = LogForwarder(lambda line: self._worker.post(self.log.add, line))
        logging.getLogger(ROOT).addHandler(self._forwarder)
        self._bind_keys()
        self.bind("<<ThemeChanged>>", lambda _: self.recolour())
        self.bind("<Destroy>", self._destroyed)
        self._timer = self.after(_WATCH_MILLISECONDS, self._watch)
        logger.info("The page shows %s.", self.downloads.manager.store.name)
        self._first_look = True
        self.refresh()

    @property
    def is_running(self) -> bool:
        """Returns whether a download is running."""
        return self.downloads.is_running

    def refresh(self) -> None:
        """Reads the store in the background."""
        self._look(self.coverage.month)

    def download_selected(self) -> None:
        """Downloads the chosen symbols in the range of the fields, or shows the plan of that."""
        try:
            wanted = self.options.read()
        except UsageError as error:
            self.strip.say(str(error))
            return
        symbols = self.symbols.selected
        if not symbols:
            self.strip.say("Choose symbols in the list first; Ctrl+A chooses all symbols shown.")
            return
        self.remember()
        order = Order(
            symbols, wanted.start, wanted.end, wanted.timeframes, wanted.source, wanted.refresh, wanted.dry_run
        )
        self.downloads.start(order)

    def cancel(self) -> None:
        """Stops the download after the batch in hand."""
        self.downloads.cancel()

    def repair(self, cell: Cell, ask_again: bool) -> None:
        """Downloads the missing minutes of one cell of the map; with ``ask_again``, all its minutes again."""
        source = self.options.source.get()
        self.downloads.start(Order([cell.symbol], cell.start, cell.end, (), source, refresh=ask_again))

    def add_symbol(self) -> None:
        """Adds the symbol in the sidebar's box to the list if the exchange knows it."""
        name = self.sidebar.new_symbol.get().strip()
        if not name:
            self.strip.say("Type a symbol first, such as BTCUSDC.")
            return
        self.strip.say(f"Asking the exchange for {name}…")
        self._worker.run(
            lambda: self.downloads.exchange_symbols(name),
            lambda found: self._add([entry.symbol for entry in found]),
            self.strip.say,
        )

    def choose_symbols(self) -> SymbolChooser:
        """Opens the list of the exchange's symbols and loads it in the background."""
        chooser = SymbolChooser(self, self._add)

        def if_open(action: Any, *arguments: Any) -> None:
            if chooser.winfo_exists():
                action(*arguments)

        self._worker.run(
            self.downloads.exchange_symbols,
            lambda symbols: if_open(chooser.show, symbols),
            lambda sentence: if_open(chooser.fail, sentence),
        )
        return chooser

    def open_chart(self) -> None:
        """Writes the chart of the chosen symbol and timeframe and opens it in the browser."""
        symbols = self.symbols.selected
        if len(symbols) != 1:
            self.strip.say("Choose one symbol to see its chart.")
            return
        try:
            wanted = self.options.read()
        except UsageError as error:
            self.strip.say(str(error))
            return
        timeframe = self.sidebar.chart_timeframe.get()
        self.strip.say(f"Drawing {symbols[0]} {timeframe}…")
        folder = self.settings.data.processed_data_path / "charts"

        def draw() -> Path:
            file = folder / f"{symbols[0]}_{timeframe}.html"
            write_chart(self.downloads.manager, symbols[0], timeframe, wanted.start, wanted.end, file=file)
            return file

        def show(file: Path) -> None:
            self.strip.say(f"The chart is in {file}.")
            webbrowser.open(file.as_uri())

        self._worker.run(draw, show, self.strip.say)

    def close_when_done(self, close: Any) -> None:
        """Calls ``close`` at once if no download runs; else asks, stops the download, and calls it after that."""
        if not self.is_running:
            close()
        elif messagebox.askyesno(
            "A download is running",
            "Stop it and close? The candles received so far are kept; the next download continues from there.",
            parent=self,
        ):
            self._on_closed = close
            self.cancel()
            if not self.is_running:
                close()

    def remember(self) -> None:
        """Saves the current choices in their file."""
        self.options.write(self.choices)
        self.choices.chart_timeframe = self.sidebar.chart_timeframe.get()
        self.choices.log_level = self.log.level.get()
        save_choices(self.settings.data.base_data_path, self.choices)

    def recolour(self) -> None:
        """Applies the colours of the current theme."""
        for part in (self.symbols, self.options, self.coverage, self.log):
            part.recolour()

    def _build(self) -> None:
        self.strip = ProgressStrip(self, self.cancel)
        self.strip.pack(side="bottom", fill="x", pady=(8, 0))
        self.sidebar = Sidebar(self, self, self.choices)
        self.sidebar.pack(side="left", fill="y", padx=(0, 10))
        self.options: OptionsPanel = self.sidebar.options
        panes = ttk.Panedwindow(self, orient="vertical")
        panes.pack(side="left", fill="both", expand=True)
        self.symbols = SymbolList(panes, self._selection_changed)
        self.tabs = ttk.Notebook(panes, height=scaled(self, 250))
        panes.add(self.symbols, weight=3)
        panes.add(self.tabs, weight=2)
        self.coverage = CoverageMap(self.tabs, self._look, self.repair)
        self.plan = PlanTable(self.tabs)
        self.log = LogView(self.tabs, self.choices.log_level)
        for part, name in ((self.coverage, "Coverage"), (self.plan, "Plan"), (self.log, "Log")):
            self.tabs.add(part, text=name)

    def _bind_keys(self) -> None:
        """Binds the keys that work while the keyboard focus is anywhere in this page, and nowhere else."""
        tag = f"DataManager{self.winfo_id()}"
        keys = {
            "<Control-f>": self.symbols.filter_box.focus_set,
            "<Control-Return>": self.download_selected,
            "<F5>": self.refresh,
            "<Escape>": self.cancel,
        }
        for key, action in keys.items():
            self.bind_class(tag, key, lambda _, action=action: action())  # type: ignore[misc]
        pending: list[tk.Misc] = [self]
        while pending:
            widget = pending.pop()
            widget.bindtags((*widget.bindtags(), tag))
            pending += widget.winfo_children()

    def _look(self, month: datetime | None) -> None:
        self._looks += 1
        look = self._looks
        self._worker.run(
            lambda: take_snapshot(self.downloads.manager, month),
            lambda snapshot: self._show(look, snapshot),
            lambda sentence: self._show_failure(look, sentence),
        )

    def _show(self, look: int, snapshot: Snapshot) -> None:
        if look != self._looks:
            return
        self._shown_look = look
        stored = {row["symbol"] for row in snapshot.rows}
        self.choices.added = [symbol for symbol in self.choices.added if symbol not in stored]
        self.symbols.show(snapshot.rows, self.choices.added)
        self.coverage.show(snapshot.month, snapshot.columns, sorted(stored), snapshot.cells)
        self._store_time = self._modified()
        if self._first_look:
            self._first_look = False
            self.symbols.select(self.choices.selected)
            candles = sum(row["candles"] for row in snapshot.rows)
            self.strip.say(f"{len(stored):,} symbols, {candles:,} candles. Times are UTC.")
        self._show_buttons()

    def _show_failure(self, look: int, sentence: str) -> None:
        self._shown_look = max(self._shown_look, look)
        self.strip.say(sentence)

    def _watch(self) -> None:
        """Reads the store again if another process has written to it."""
        is_looking = self._shown_look < self._looks
        if not self.is_running and not is_looking and self._modified() != self._store_time:
            self.refresh()
        self._timer = self.after(_WATCH_MILLISECONDS, self._watch)

    def _modified(self) -> float:
        store = self.downloads.manager.store
        # A lake answers over the network, and the window's thread must not wait for that: it is read on demand only.
        return store.modified if store.is_near else 0.0

    def _add(self, symbols: Sequence[str]) -> None:
        known = set(self.symbols.symbols)
        new = [symbol for symbol in symbols if symbol not in known]
        self.choices.added += new
        self.sidebar.new_symbol.set("")
        self.symbols.filter.set("")
        self.symbols.add(new)
        self.symbols.select(symbols)
        self.strip.say(
            f"Added {', '.join(new)}. Press Download Selected." if new else "The list has that symbol already."
        )

    def _selection_changed(self) -> None:
        """Shows the state of a newly chosen symbol; redrawing the list also calls this, with the same selection."""
        selected = self.symbols.selected
        is_news = selected != self.choices.selected and len(selected) == 1 and not self.is_running
        if is_news and (state := self.symbols.state_of(selected[0])):
            # The column may cut the sentence off, and not everybody has a pointer to see the tooltip.
            self.strip.say(f"{selected[0]}: {state}")
        self.choices.selected = selected
        self._show_buttons()

    def _show_buttons(self) -> None:
        self.sidebar.show(len(self.symbols.selected), is_running=self.is_running)

    def _download_ended(self, order: Order, results: Results) -> None:
        if order.dry_run and results:
            self.plan.show(results.values())
            self.tabs.select(str(self.plan))  # type: ignore[no-untyped-call]
        if self._on_closed is not None:
            self._on_closed()
        else:
            self.refresh()

    def _destroyed(self, event: tk.Event[tk.Misc]) -> None:
        if event.widget is not self:
            return
        logging.getLogger(ROOT).removeHandler(self._forwarder)
        self.after_cancel(self._timer)
        self._worker.close()
        self.remember()
        self.downloads.close()
