"""The settings: finds, reads and validates ``paths.toml``. Nothing else configures this package."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any, get_type_hints
from urllib.parse import urlsplit

import tomli

from threadx_duck.config.address import Address, LakeAddress, is_lake, is_remote, read_address, require_data_path
from threadx_duck.errors import SettingsError, UsageError
from threadx_duck.texts.urls import without_any_user

DEFAULT_FILE = Path("paths.toml")

# No setting allows more, and a larger whole number may be too large for a float.
_LARGEST_INTEGER = 2**63

# A value in double quotes with a backslash in it, such as "C:\Users\me".
_WINDOWS_PATH = re.compile(r"""=\s*"([^"'\n]*\\[^"'\n]*)"\s*(?:#.*)?$""", re.MULTILINE)

# No valid path contains one, but "C:\temp" in double quotes does: \t is a tab there.
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

# Keys whose value may contain a password, which is never shown.
_ADDRESSES = frozenset({"base_url", "proxy"})

Check = Callable[[Any], bool]


def _setting(default: Any, accepts: str, check: Check = lambda _: True) -> Any:
    """Returns a dataclass field with its default, a text that says which values it accepts, and the test for them."""
    return field(default=default, metadata={"accepts": accepts, "check": check})


def _whole(default: int, least: int, most: int) -> Any:
    return _setting(default, f"a whole number from {least} to {most}", lambda value: least <= value <= most)


def _number(default: float, accepts: str, check: Check) -> Any:
    return _setting(default, accepts, check)


def _is_host(value: str) -> bool:
    try:
        parts = urlsplit(value)
        # The program appends a path, so no query or fragment may follow.
        # An @ after the host comes from a password that contains a slash: the host would be a part of the password.
        is_bare = not re.search(r"[\s?#]", value) and "@" not in parts.path
        return is_bare and parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _url(default: str) -> Any:
    return _setting(default, 'an address such as "https://api.binance.com"', _is_host)


def _is_path_or_empty(value: str) -> bool:
    return not value or _as_path(value) is not None


_SECONDS = "a number of seconds above 0, at most 86400"


def _is_seconds(value: float) -> bool:
    return 0 < value <= 86_400


@dataclass(frozen=True)
class StoreSettings:
    """``[data.store]``: where the candles are stored."""

    database: Address = _setting(Path(), "a path, or the address of a lake", lambda value: value != Path())
    data_path: str = _setting(
        "", 'a folder or an address such as "s3://bucket/candles", or "" for none', _is_path_or_empty
    )
    market: str = _setting(
        "binance_spot",
        "a name of lower-case letters, digits and underscores",
        lambda value: re.fullmatch(r"[a-z][a-z0-9_]*", value) is not None,
    )
    read_copy: str = _setting("", 'a path, or "" for none', _is_path_or_empty)
    lock_timeout_seconds: float = _number(
        60.0, "a number of seconds from 0 to 86400", lambda value: 0 <= value <= 86_400
    )


@dataclass(frozen=True)
class ApiSettings:
    """``[data.api]``: how to send requests to the exchange's REST interface."""

    base_url: str = _url("https://api.binance.com")
    klines_endpoint: str = _setting(
        "/api/v3/klines",
        'a path such as "/api/v3/klines"',
        lambda value: re.fullmatch(r"/[\w./-]+", value) is not None,
    )
    rate_limit_calls: int = _whole(1200, 1, 1_000_000)
    rate_limit_window: float = _number(60.0, _SECONDS, _is_seconds)
    max_retries: int = _whole(3, 0, 100)
    retry_delay: float = _number(1.0, "a number of seconds from 0 to 3600", lambda value: 0 <= value <= 3_600)
    timeout_seconds: float = _number(30.0, _SECONDS, _is_seconds)
    proxy: str = _setting(
        "",
        'an address such as "http://proxy.example:3128", or "" for none',
        lambda value: not value or _is_host(value),
    )
    ca_bundle: str = _setting("", 'the path of a file, or "" for the usual certificates', _is_path_or_empty)


@dataclass(frozen=True)
class ArchiveSettings:
    """``[data.archive]``: the exchange's monthly and daily files."""

    enabled: bool = _setting(True, "true or false")
    base_url: str = _url("https://data.binance.vision")
    keep_files: bool = _setting(False, "true or false")


@dataclass(frozen=True)
class ProcessingSettings:
    """``[data.processing]``: how many symbols at once, and what to do with the candles afterwards."""

    default_batch_size: int = _whole(5, 1, 64)
    max_gap_fill_hours: float = _number(4.0, "a number of hours from 0 to 168", lambda value: 0 <= value <= 168)
    resample_validation: bool = _setting(True, "true or false")


@dataclass(frozen=True)
class LoggingSettings:
    """``[logging]``: the folder of the log files and their level of detail."""

    level: str = _setting(
        "INFO", "DEBUG, INFO, WARNING or ERROR", lambda value: value in {"DEBUG", "INFO", "WARNING", "ERROR"}
    )
    console_output: bool = _setting(False, "true or false")
    directory: Path = _setting(Path("logs"), "a path", lambda value: value != Path())


@dataclass(frozen=True)
class DataSettings:
    """``[data]``: the folders."""

    base_data_path: Path = _setting(Path("data"), "a path", lambda value: value != Path())
    raw_data_path: Path = _setting(Path(), "a path", lambda value: value != Path())
    processed_data_path: Path = _setting(Path(), "a path", lambda value: value != Path())


@dataclass(frozen=True)
class Settings:
    """All settings, validated, every path absolute.

    ``file`` is the file they were read from, or None for built-in defaults; ``given`` has the keys that
    the file contains, such as ``data.api.base_url``.
    """

    data: DataSettings
    store: StoreSettings
    api: ApiSettings
    archive: ArchiveSettings
    processing: ProcessingSettings
    logging: LoggingSettings
    file: Path | None
    given: frozenset[str]


# The tables of the file, each with its attribute of `Settings`.
TABLES = {
    "data": "data",
    "data.store": "store",
    "data.api": "api",
    "data.archive": "archive",
    "data.processing": "processing",
    "logging": "logging",
}


def get_settings(path: str | Path | None = None) -> Settings:
    """Returns the settings of a TOML file; without a path, of ``./paths.toml`` if it exists, else the defaults.

    Relative paths in the file are relative to its folder. Raises `SettingsError` that names the table, the key
    and the accepted values.
    """
    if path is None and DEFAULT_FILE.exists():
        path = DEFAULT_FILE
    file = None if path is None else Path(path).absolute()
    document = {} if file is None else _read_toml(file)
    tables = dict(_collect_tables(file, document))
    folder = Path.cwd() if file is None else file.parent
    hints = get_type_hints(Settings)
    made: dict[str, Any] = {
        name: _make(file, name, hints[attribute], tables.get(name, {}), folder) for name, attribute in TABLES.items()
    }
    data = _with_folders(made["data"], folder)
    return Settings(
        data=data,
        store=_with_database(file, made["data.store"], data, folder),
        api=made["data.api"],
        archive=made["data.archive"],
        processing=made["data.processing"],
        logging=replace(made["logging"], directory=folder / made["logging"].directory),
        file=file,
        given=frozenset(f"{name}.{key}" for name, table in tables.items() for key in table),
    )


def with_database(settings: StoreSettings, text: str) -> StoreSettings:
    """Returns the settings with the store that a text names, relative to the current folder. Raises `UsageError`.

    The data path of a lake belongs to the earlier store and is dropped; so is the read copy if the text names a lake.
    """
    address = read_address(text)
    if isinstance(address, Path):
        return replace(settings, database=address.absolute(), data_path="")
    return replace(settings, database=address, data_path="", read_copy="")


def absolute_data_path(text: str, folder: Path | None = None) -> str:
    """Returns a lake's data path: a folder made absolute, an address of object storage unchanged.

    A relative folder is relative to ``folder``, by default the current one. Raises `UsageError` for other texts.
    """
    require_data_path(text)
    return text if is_remote(text) else str((folder or Path.cwd()) / Path(text).expanduser())


def default_text() -> str:
    """Returns the commented settings file with every default, as ``threadx config --init`` writes it."""
    inside = resources.files("threadx_duck") / DEFAULT_FILE.name
    source = inside if inside.is_file() else Path(__file__).resolve().parents[2] / DEFAULT_FILE
    return source.read_text(encoding="utf-8")


def _read_toml(file: Path) -> dict[str, Any]:
    text = ""
    try:
        # Editors on Windows write a byte order mark before UTF-8.
        text = file.read_text(encoding="utf-8").removeprefix("\ufeff")
        return tomli.loads(text)
    except FileNotFoundError as error:
        raise SettingsError(f"There is no settings file {file}. Write one with: threadx config --init") from error
    except OSError as error:
        raise SettingsError(f"Cannot read the settings file {file}: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        # TOMLDecodeError and UnicodeDecodeError are ValueErrors; so is the error for a number of too many digits.
        raise SettingsError(f"{file} is not valid TOML: {error}.{_toml_advice(text, error)}") from error


def _toml_advice(text: str, error: Exception) -> str:
    """Returns advice for the two usual reasons, an editor's encoding and a Windows path; else an empty text."""
    if isinstance(error, UnicodeDecodeError):
        return " Save it as UTF-8."
    found = _WINDOWS_PATH.search(text)
    if found is None:
        return ""
    return f" In double quotes a backslash begins a special character; write a path in single quotes: '{found[1]}'"


def _collect_tables(file: Path | None, document: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Returns the settings by table. Raises `SettingsError` for a table that does not exist."""
    found: list[tuple[str, dict[str, Any]]] = []
    pending: list[tuple[str, Mapping[str, Any]]] = [("", document)]
    while pending:
        prefix, table = pending.pop()
        keys: dict[str, Any] = {}
        for key, value in table.items():
            name = f"{prefix}.{key}" if prefix else key
            if isinstance(value, Mapping) and (name in TABLES or not prefix):
                pending.append((name, value))
            else:
                keys[key] = value
        if prefix not in TABLES and (keys or prefix):
            known = ", ".join(f"[{name}]" for name in TABLES)
            what = f"[{prefix}] is not a table of settings" if prefix else f"{next(iter(keys))} stands in no table"
            raise SettingsError(f"{file}: {what}. The tables are {known}.")
        if prefix:
            found.append((prefix, keys))
    return found


def _make(file: Path | None, name: str, cls: type[Any], table: Mapping[str, Any], folder: Path) -> Any:
    hints = get_type_hints(cls)
    known = {entry.name: entry for entry in fields(cls)}
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            raise SettingsError(f"{file}: [{name}] has no key {key}. Its keys are {', '.join(known)}.")
        accepts, check = known[key].metadata["accepts"], known[key].metadata["check"]
        converted = _convert_database(file, value) if hints[key] == Address else _convert(value, hints[key])
        if converted is None or not check(converted):
            shown = without_any_user(_show(value)) if key in _ADDRESSES and "@" in _show(value) else _show(value)
            raise SettingsError(f"{file}: [{name}] {key} is {shown}; it takes {accepts}.{_path_advice(value)}")
        if key in {"read_copy", "ca_bundle"} and converted:
            converted = str(folder / Path(str(converted)).expanduser())
        values[key] = converted
    return cls(**values)


def _convert_database(file: Path | None, value: Any) -> Address | None:
    """Returns the store that a text names. Errors never show the address of a lake: it may contain a password."""
    if not isinstance(value, str) or not is_lake(value):
        return _as_path(value) if isinstance(value, str) else None
    try:
        return read_address(value)
    except UsageError as error:
        raise SettingsError(f"{file}: [data.store] database: {error}") from error


def _convert(value: Any, kind: type[Any]) -> Any:
    """Returns the value as the field's type, or None if it has another type."""
    if kind is Path:
        return _as_path(value) if isinstance(value, str) else None
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value) if abs(value) <= _LARGEST_INTEGER else None
    return value if type(value) is kind else None


def _as_path(text: str) -> Path | None:
    """Returns the path that a text names, or None if it is not a path."""
    if not text.strip() or _CONTROL.search(text):
        return None
    try:
        return Path(text).expanduser()
    except RuntimeError:  # the home of a user who does not exist
        return None


def _show(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)


def _path_advice(value: Any) -> str:
    if isinstance(value, str) and _CONTROL.search(value):
        return " A path with backslashes stands in single quotes, such as 'C:\\candles'."
    return ""


def _with_folders(data: DataSettings, folder: Path) -> DataSettings:
    base = folder / data.base_data_path
    return DataSettings(
        base_data_path=base,
        raw_data_path=base / "raw" if data.raw_data_path == Path() else folder / data.raw_data_path,
        processed_data_path=(
            base / "processed" if data.processed_data_path == Path() else folder / data.processed_data_path
        ),
    )


def _with_database(file: Path | None, store: StoreSettings, data: DataSettings, folder: Path) -> StoreSettings:
    if isinstance(store.database, LakeAddress):
        if store.read_copy:
            raise SettingsError(
                f"{file}: [data.store] read_copy is for a file; the readers of a lake keep nobody waiting. Remove it."
            )
        try:
            path = store.data_path and absolute_data_path(store.data_path, folder)
        except UsageError as error:
            raise SettingsError(f"{file}: [data.store] data_path: {error}") from error
        return replace(store, database=replace(store.database, data_path=path), data_path=path)
    if store.data_path:
        raise SettingsError(
            f"{file}: [data.store] data_path is where a lake keeps its files, but the database is one file. "
            "Remove it, or name a lake."
        )
    database = folder / store.database if store.database.name else data.base_data_path / "threadx.duckdb"
    return replace(store, database=database)
