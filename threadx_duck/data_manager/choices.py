"""The choices that the page remembers between sessions, in a file under the data folder."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

from threadx_duck.disk.whole_files import write_whole
from threadx_duck.errors import UsageError

logger = logging.getLogger("threadx_duck.data_manager")

FILE_NAME = "data_manager.json"


@dataclass
class Choices:
    """The last choices. ``added`` holds the symbols in the list that have no stored candles yet."""

    geometry: str = ""
    dark: bool = False
    start: str = ""
    end: str = ""
    timeframes: str = ""
    source: str = "auto"
    dry_run: bool = False
    refresh: bool = False
    chart_timeframe: str = "1h"
    log_level: str = "INFO"
    selected: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)


def load_choices(folder: Path) -> Choices:
    """Returns the remembered choices. A choice that is absent, unreadable or of another type gets its default."""
    try:
        document = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Choices()
    except (OSError, ValueError) as error:
        logger.warning("Cannot read %s: %s. Starting from defaults.", folder / FILE_NAME, error)
        return Choices()
    return Choices(**_usable(document)) if isinstance(document, dict) else Choices()


def save_choices(folder: Path, choices: Choices) -> None:
    """Writes the choices in one step. If the folder cannot be written to, logs that and raises nothing."""
    file = folder / FILE_NAME
    try:
        write_whole(file, (json.dumps(asdict(choices), indent=2) + "\n").encode())
    except (OSError, UsageError) as error:
        logger.warning("Cannot write %s: %s.", file, getattr(error, "strerror", None) or error)


def _usable(document: dict[str, Any]) -> dict[str, Any]:
    hints = get_type_hints(Choices)
    known = {entry.name for entry in fields(Choices)}
    return {name: value for name, value in document.items() if name in known and _fits(value, hints[name])}


def _fits(value: Any, kind: Any) -> bool:
    if kind == list[str]:
        return isinstance(value, list) and all(isinstance(entry, str) for entry in value)
    return type(value) is kind
