"""The Data Manager: a Tkinter page that downloads candles, shows what is stored, and repairs it.

`DataManagerPage(parent, padding="10")` is a frame for any place in a Tk application; `open_window` opens it in
a window of its own. The page contains no SQL and no HTTP: it calls the same `IngestionManager` as the CLI.
"""

from threadx_duck.data_manager.page import DataManagerPage
from threadx_duck.data_manager.window import open_window

__all__ = ["DataManagerPage", "open_window"]
