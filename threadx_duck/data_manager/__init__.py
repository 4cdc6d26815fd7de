"""The Data Manager: a Tkinter page that downloads, shows what is stored, and repairs it.

`DataManagerPage(parent, padding="10")` is a frame to put anywhere in a Tk application; `open_window`
gives it a window of its own. It calls the same `IngestionManager` as everything else: no SQL, no HTTP.
"""

from threadx_duck.data_manager.page import DataManagerPage
from threadx_duck.data_manager.window import open_window

__all__ = ["DataManagerPage", "open_window"]
