"""The theme of the page's own window, and colours that fit whichever theme is current."""

from __future__ import annotations

import sys
import tkinter as tk
from dataclasses import dataclass
from tkinter import font as tkfont
from tkinter import ttk

TREE = "DataManager.Treeview"
MISSING_THEME = (
    "The window looks plain because its theme is not installed. Install it with: pip install 'threadx_duck[ui]'"
)

# Sun Valley sets its fonts in pixels, which a dense screen does not enlarge.
_THEME_FONTS = "SunValley"


@dataclass(frozen=True)
class Palette:
    """Colours for what ttk does not draw: log lines by level, and cells of the coverage map by reason."""

    background: str
    text: str
    faint: str
    line: str
    accent: str
    selected: str
    error: str
    warning: str
    present: str
    not_downloaded: str
    rejected: str
    outage: str
    not_published: str


LIGHT = Palette(
    background="#ffffff",
    text="#1c1c1c",
    faint="#5f6368",
    line="#d5d8dc",
    accent="#005fb8",
    selected="#cfe3f6",
    error="#b3261e",
    warning="#8a5300",
    present="#4caf7d",
    not_downloaded="#f0b429",
    rejected="#b5179e",
    outage="#2f6fde",
    not_published="#8b95a1",
)
DARK = Palette(
    background="#1c1c1c",
    text="#f0f0f0",
    faint="#a6abb2",
    line="#3c4045",
    accent="#57c8ff",
    selected="#1f4a68",
    error="#ff8a80",
    warning="#ffc46b",
    present="#2f8f62",
    not_downloaded="#c98a12",
    rejected="#d65cc4",
    outage="#5b93ff",
    not_published="#6b7480",
)


def palette_of(widget: tk.Misc) -> Palette:
    """Returns colours that are readable on the background of the current theme."""
    return DARK if _is_dark(widget) else LIGHT


def is_themed() -> bool:
    """Returns whether the theme package is installed."""
    try:
        import sv_ttk  # noqa: F401 - only whether it is there
    except ImportError:
        return False
    return True


def apply_theme(root: tk.Tk, *, dark: bool) -> None:
    """Applies the theme to our own window, or a theme of ttk if the theme package is not installed."""
    if is_themed():
        import sv_ttk

        is_first = not any(name.startswith(_THEME_FONTS) for name in tkfont.names(root))
        sv_ttk.set_theme("dark" if dark else "light", root)
        if is_first:
            _enlarge_fonts(root)
    else:
        _apply_plain_theme(root, DARK if dark else LIGHT)


def style_tables(widget: tk.Misc) -> None:
    """Gives tables of the style `TREE` rows as high as their font needs, and chosen rows a visible colour."""
    style = ttk.Style(widget)
    palette = palette_of(widget)
    style.configure(TREE, rowheight=round(_table_font(widget).metrics("linespace") * 1.35) + 2)
    style.map(TREE, background=[("selected", palette.selected)], foreground=[("selected", palette.text)])


def measured(widget: tk.Misc, text: str, heading: str = "") -> int:
    """Returns the width in pixels of a text in a table or of the heading above it, whichever is wider."""
    font = ttk.Style(widget).lookup("Treeview.Heading", "font") or "TkHeadingFont"
    return max(_table_font(widget).measure(text), tkfont.Font(widget, font=font).measure(heading))


def scaled(widget: tk.Misc, pixels: float) -> int:
    """Converts a length in pixels from a usual screen of 96 dots per inch to this screen."""
    return round(pixels * max(1.0, widget.winfo_fpixels("1i") / 96))


def be_aware_of_density() -> None:
    """Tells Windows that we scale things ourselves; call it before the first window. Elsewhere Tk handles it."""
    if sys.platform == "win32":
        import ctypes

        ctypes.windll.shcore.SetProcessDpiAwareness(1)


def _table_font(widget: tk.Misc) -> tkfont.Font:
    return tkfont.Font(widget, font=ttk.Style(widget).lookup("Treeview", "font") or "TkDefaultFont")


def _is_dark(widget: tk.Misc) -> bool:
    background = ttk.Style(widget).lookup("TFrame", "background") or widget.winfo_toplevel().cget("background")
    red, green, blue = widget.winfo_rgb(background)
    return 0.299 * red + 0.587 * green + 0.114 * blue < 0x8000


def _enlarge_fonts(root: tk.Tk) -> None:
    for name in tkfont.names(root):
        if name.startswith(_THEME_FONTS):
            font = tkfont.nametofont(name, root)
            font.configure(size=-scaled(root, abs(int(font.cget("size")))))


def _apply_plain_theme(root: tk.Tk, palette: Palette) -> None:
    style = ttk.Style(root)
    style.theme_use("clam")
    root.configure(background=palette.background)
    style.configure(
        ".",
        background=palette.background,
        foreground=palette.text,
        fieldbackground=palette.background,
        bordercolor=palette.line,
        troughcolor=palette.line,
        arrowcolor=palette.text,
        insertcolor=palette.text,
    )
    style.configure("Treeview", background=palette.background)
    style.map(".", background=[("active", palette.line)], foreground=[("disabled", palette.faint)])
    style.map("TButton", background=[("disabled", palette.background), ("active", palette.line)])
    style.configure("TNotebook.Tab", background=palette.background)
    style.map("TNotebook.Tab", background=[("selected", palette.line)])
    style.configure("Treeview.Heading", background=palette.background)
    for kind in ("TCombobox", "TEntry"):
        style.map(kind, fieldbackground=[("readonly", palette.background)], foreground=[("readonly", palette.text)])
