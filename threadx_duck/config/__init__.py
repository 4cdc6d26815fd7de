"""The settings of this package: the content of ``paths.toml``, its addresses, and the log files."""

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
