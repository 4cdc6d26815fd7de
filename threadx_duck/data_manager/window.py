"""The page's own window: its theme, its size, switching between light and dark, and closing."""

from __future__ import annotations

import re
import tkinter as tk
from pathlib import Path
from tkinter import ttk

from threadx_duck.config import Settings
from threadx_duck.data_manager.page import DataManagerPage
from threadx_duck.data_manager.widgets.theme import MISSING_THEME, apply_theme, be_aware_of_density, is_themed, scaled

_LEAST = (1024, 700)
_GEOMETRY = re.compile(r"(\d+)x(\d+)\+-?\d+\+-?\d+")


class DataManagerWindow(tk.Tk):
    """The page in a window that remembers its size and whether it is dark."""

    def __init__(self, settings: Settings | None = None) -> None:
        be_aware_of_density()
        super().__init__(className="threadx")
        self.withdraw()
        self.title("threadx Data Manager")
        apply_theme(self, dark=False)
        ttk.Style(self).configure("Heading.TLabel", font="TkHeadingFont")
        head = ttk.Frame(self, padding=(12, 8, 12, 0))
        head.pack(fill="x")
        self.page = DataManagerPage(self, padding="12", settings=settings)
        self.page.pack(fill="both", expand=True)
        self.is_dark = self.page.choices.dark
        ttk.Label(head, text="Data Manager", style="Heading.TLabel").pack(side="left")
        store = self.page.downloads.manager.store.address
        here = Path.cwd()
        shown = store.relative_to(here) if isinstance(store, Path) and store.is_relative_to(here) else store
        ttk.Label(head, text=str(shown)).pack(side="left", padx=12)
        self.theme_button = ttk.Button(head, command=self.switch_theme)
        self.theme_button.pack(side="right")
        if not is_themed():
            ttk.Label(head, text=MISSING_THEME).pack(side="right", padx=12)
        self._apply_theme()
        self._place()
        self.protocol("WM_DELETE_WINDOW", lambda: self.page.close_when_done(self.close))
        self.deiconify()

    def switch_theme(self) -> None:
        """Switches between light and dark."""
        self.is_dark = not self.is_dark
        self.page.choices.dark = self.is_dark
        self._apply_theme()

    def close(self) -> None:
        """Remembers the size and closes."""
        self.page.choices.geometry = self.geometry()
        self.destroy()

    def _apply_theme(self) -> None:
        apply_theme(self, dark=self.is_dark)
        ttk.Style(self).configure("Heading.TLabel", font="TkHeadingFont")
        self.theme_button.configure(text="Light" if self.is_dark else "Dark")
        self.page.recolour()

    def _place(self) -> None:
        """Restores the remembered size and position if they still fit the screen."""
        least = [min(side, screen) for side, screen in zip(_LEAST, self._screen(), strict=True)]
        self.minsize(*least)
        match = _GEOMETRY.fullmatch(self.page.choices.geometry)
        if match and int(match[1]) <= self.winfo_screenwidth() and int(match[2]) <= self.winfo_screenheight():
            self.geometry(match[0])
        else:
            width, height = (
                min(scaled(self, side), screen) for side, screen in zip((1240, 820), self._screen(), strict=True)
            )
            self.geometry(f"{width}x{height}")

    def _screen(self) -> tuple[int, int]:
        return self.winfo_screenwidth(), self.winfo_screenheight()


def open_window(settings: Settings | None = None) -> None:
    """Opens the Data Manager and returns after it is closed. Raises ``tkinter.TclError`` if there is no display."""
    DataManagerWindow(settings).mainloop()
