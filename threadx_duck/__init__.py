"""An embedded DuckDB store of Binance 1-minute candles; every higher timeframe is a SQL view.

All times are UTC and all ranges are half-open. Candles are passed as `pyarrow.Table`.

- `get_settings` reads ``paths.toml``.
- `LegacyAdapter` downloads candles without a store, finds their gaps and fills them.
- `IngestionManager` downloads candles into the store and reads them from it.
- `SymbolResult` is the result for one symbol; all errors derive from `ThreadxDuckError`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from threadx_duck.config import Settings, get_settings
    from threadx_duck.download.results import SymbolResult
    from threadx_duck.errors import DownloadError, SettingsError, StoreError, ThreadxDuckError, UsageError
    from threadx_duck.ingest import IngestionManager
    from threadx_duck.legacy_adapter import LegacyAdapter

__all__ = [
    "DownloadError",
    "IngestionManager",
    "LegacyAdapter",
    "Settings",
    "SettingsError",
    "StoreError",
    "SymbolResult",
    "ThreadxDuckError",
    "UsageError",
    "get_settings",
]

_HOMES = {
    "DownloadError": "errors",
    "IngestionManager": "ingest",
    "LegacyAdapter": "legacy_adapter",
    "Settings": "config",
    "SettingsError": "errors",
    "StoreError": "errors",
    "SymbolResult": "download.results",
    "ThreadxDuckError": "errors",
    "UsageError": "errors",
    "get_settings": "config",
}


def __getattr__(name: str) -> Any:
    # Imported on first use, so that the command line does not load what it does not need.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
