"""Log files: their folder and the format of their lines. Times in them are UTC."""

from __future__ import annotations

import logging
import sys
import time
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from threadx_duck.config import LoggingSettings
from threadx_duck.texts.visible import visible

ROOT = "threadx_duck"
FILES = {
    "data_ingestion.log": ROOT,
    "legacy_adapter.log": f"{ROOT}.legacy_adapter",
    "tkinter_app.log": f"{ROOT}.data_manager",
}

_BYTES_PER_FILE = 5_000_000
_KEPT_FILES = 5


class _Formatter(logging.Formatter):
    """Formats lines with times in UTC. Text from outside cannot break a line in two or move the reader's cursor."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%SZ")
        self.converter = time.gmtime

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        """Returns the line, without the traceback that may follow it."""
        return visible(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the library's name
        """Returns the traceback, on its own lines."""
        return "\n".join(map(visible, super().formatException(ei).split("\n")))


class _LateFile(RotatingFileHandler):
    """A rotating log file that is created, with its folder, when its first line is written."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, maxBytes=_BYTES_PER_FILE, backupCount=_KEPT_FILES, encoding="utf-8", delay=True)
        self._told = False

    def _open(self) -> TextIOWrapper:
        Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)
        return super()._open()

    def handleError(self, _record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        """Reports once on stderr that lines are lost, and why. A log that cannot be written stops no download."""
        if not self._told:
            self._told = True
            reason = getattr(sys.exc_info()[1], "strerror", None) or sys.exc_info()[1]
            sys.stderr.write(f"note: Cannot write {self.baseFilename}: {reason}. See [logging] directory.\n")


def ensure_logs(settings: LoggingSettings) -> None:
    """Sets up logs according to the settings, unless the program has set up this package's loggers itself."""
    if not logging.getLogger(ROOT).handlers:
        set_up_logs(settings, console=settings.console_output)


def set_up_logs(settings: LoggingSettings, *, console: bool) -> None:
    """Sends the package's log lines to the files of the settings, and to stderr if ``console`` is set.

    Each file is created with its first line.
    """
    formatter = _Formatter()
    for file, name in FILES.items():
        handler = _LateFile(settings.directory / file)
        handler.setFormatter(formatter)
        _replace_handlers(logging.getLogger(name), [handler])
    logger = logging.getLogger(ROOT)
    logger.setLevel(settings.level)
    if console:
        stream = logging.StreamHandler(sys.stderr)
        stream.setFormatter(formatter)
        logger.addHandler(stream)


def _replace_handlers(logger: logging.Logger, handlers: list[logging.Handler]) -> None:
    for old in list(logger.handlers):
        logger.removeHandler(old)
        old.close()
    for handler in handlers:
        logger.addHandler(handler)
