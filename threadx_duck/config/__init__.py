"""The settings of this package: what ``paths.toml`` says, the addresses in it, and the logs that it asks for."""

from threadx_duck.config.settings import (
    DEFAULT_FILE,
    TABLES,
    ApiSettings,
    ArchiveSettings,
    DataSettings,
    LoggingSettings,
    ProcessingSettings,
    Settings,
    StoreSettings,
    absolute_data_path,
    default_text,
    get_settings,
    with_database,
)

__all__ = [
    "DEFAULT_FILE",
    "TABLES",
    "ApiSettings",
    "ArchiveSettings",
    "DataSettings",
    "LoggingSettings",
    "ProcessingSettings",
    "Settings",
    "StoreSettings",
    "absolute_data_path",
    "default_text",
    "get_settings",
    "with_database",
]
