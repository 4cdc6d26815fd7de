"""A headless Chromium for pages in tests and pictures."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page, sync_playwright

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


class Browser:
    """Opens pages of files and takes note of whatever they complain about."""

    def __init__(self, chromium: Chromium) -> None:
        self._chromium = chromium
        self.complaints: list[str] = []

    def open(self, file: Path, *, width: int = 1280, height: int = 800, scheme: str = "light") -> Page:
        """The page once its script has drawn it. The screen is ``light`` or ``dark``."""
        page = self._chromium.new_page(
            viewport={"width": width, "height": height},
            color_scheme="dark" if scheme == "dark" else "light",
            offline=True,
            # What a test asks of the page is a script that the page's own policy forbids.
            bypass_csp=True,
        )
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda message: self.complaints.append(message.text))
        page.goto(file.absolute().as_uri())
        page.wait_for_function("document.documentElement.dataset.drawn")
        return page


def find_program() -> str | None:
    """The browser on this machine; None if there is none."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


@contextmanager
def launched(program: str) -> Iterator[Browser]:
    """A browser that ends with the block."""
    quiet = ("--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=list(quiet))
        try:
            yield Browser(chromium)
        finally:
            chromium.close()
