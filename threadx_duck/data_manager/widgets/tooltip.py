"""A small text that follows the pointer."""

from __future__ import annotations

import tkinter as tk

from threadx_duck.data_manager.widgets.theme import palette_of, scaled


class Tooltip:
    """A text beside the pointer; its owner shows and hides it."""

    def __init__(self, owner: tk.Misc) -> None:
        self._owner = owner
        self._window: tk.Toplevel | None = None
        self.text = ""

    def show(self, text: str, x: int, y: int) -> None:
        """Shows a text near a position on the screen, without crossing the edge of the screen."""
        if text == self.text and self._window is not None:
            return
        self.hide()
        palette = palette_of(self._owner)
        self.text = text
        self._window = window = tk.Toplevel(self._owner, background=palette.line)
        window.wm_overrideredirect(True)
        label = tk.Label(
            window,
            text=text,
            justify="left",
            background=palette.background,
            foreground=palette.text,
            padx=scaled(window, 8),
            pady=scaled(window, 5),
            wraplength=scaled(window, 420),
        )
        label.pack(padx=1, pady=1)
        window.update_idletasks()
        left = min(x + 14, window.winfo_screenwidth() - window.winfo_reqwidth())
        below = y + 18
        if below + window.winfo_reqheight() > window.winfo_screenheight():
            below = y - window.winfo_reqheight() - 8
        window.wm_geometry(f"+{max(0, left)}+{max(0, below)}")

    def hide(self) -> None:
        """Hides the text."""
        self.text = ""
        if self._window is not None:
            self._window.destroy()
            self._window = None
