"""Log files: where they lie, how lines look. Times in them are UTC."""

from __future__ import annotations

import logging
import sys
import time
from logging.handlers import RotatingFileHandler

from threadx_duck.config import LoggingSettings
from threadx_duck.errors import SettingsError

ROOT = "threadx_duck"
FILES = {"data_ingestion.log": ROOT, "legacy_adapter.log": f"{ROOT}.legacy_adapter"}

_BYTES_PER_FILE = 5_000_000
_KEPT_FILES = 5


def set_up_logs(settings: LoggingSettings, *, console: bool) -> None:
    """Sends the package's log lines to the files of the settings, and to stderr if asked.

    Files are made with their first line. Raises `SettingsError` if the folder cannot be made.
    """
    formatter = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = time.gmtime
    try:
        settings.directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"Cannot make the folder of [logging] directory, {settings.directory}: {error.strerror}."
        ) from error
    for file, name in FILES.items():
        handler = RotatingFileHandler(
            settings.directory / file, maxBytes=_BYTES_PER_FILE, backupCount=_KEPT_FILES, encoding="utf-8", delay=True
        )
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
