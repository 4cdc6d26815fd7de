"""Settings: every key acts, and anything else is refused with what would be accepted."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from threadx_duck.cli.main import run
from threadx_duck.config import Settings, get_settings
from threadx_duck.errors import SettingsError

KEYS = {
    "data": ["base_data_path", "raw_data_path", "processed_data_path"],
    "data.store": ["database", "market", "read_copy", "lock_timeout_seconds"],
    "data.api": [
        *("base_url", "klines_endpoint", "rate_limit_calls", "rate_limit_window", "max_retries", "retry_delay"),
        *("timeout_seconds", "proxy", "ca_bundle"),
    ],
    "data.archive": ["enabled", "base_url", "keep_files"],
    "data.processing": ["default_batch_size", "max_gap_fill_hours", "resample_validation"],
    "logging": ["level", "console_output", "directory"],
}
EVERY_KEY = [(table, key) for table, keys in KEYS.items() for key in keys]


def read(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "own.toml"
    file.write_text(text, encoding="utf-8")
    return get_settings(file)


def value_of(settings: Settings, table: str, key: str) -> Any:
    return getattr(getattr(settings, table.removeprefix("data.")), key)


def test_no_file_means_defaults_in_this_folder(tmp_path: Path) -> None:
    settings = get_settings()
    assert settings.file is None
    assert settings.given == frozenset()
    assert settings.data.base_data_path == tmp_path / "data"
    assert settings.data.raw_data_path == tmp_path / "data" / "raw"
    assert settings.data.processed_data_path == tmp_path / "data" / "processed"
    assert settings.store.database == tmp_path / "data" / "threadx.duckdb"
    assert settings.logging.directory == tmp_path / "logs"


def test_the_shipped_file_holds_the_defaults(tmp_path: Path) -> None:
    shipped = (Path(__file__).parents[2] / "paths.toml").read_text(encoding="utf-8")
    defaults, settings = get_settings(), read(tmp_path, shipped)
    for table, key in EVERY_KEY:
        assert value_of(settings, table, key) == value_of(defaults, table, key), f"[{table}] {key}"
    for key in (key for keys in KEYS.values() for key in keys):
        assert re.search(rf"^(# )?{key} = ", shipped, re.MULTILINE), f"paths.toml does not show {key}"


def test_without_a_path_the_file_of_this_folder_is_read(tmp_path: Path) -> None:
    (tmp_path / "paths.toml").write_text('[logging]\nlevel = "DEBUG"\n')
    settings = get_settings()
    assert settings.file == tmp_path / "paths.toml"
    assert settings.logging.level == "DEBUG"


def test_environment_variables_configure_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    defaults = get_settings()
    for table, key in EVERY_KEY:
        for name in (key, f"threadx_{key}", f"threadx_duck_{table.replace('.', '_')}_{key}"):
            monkeypatch.setenv(name.upper(), "7")
    assert get_settings() == defaults


@pytest.mark.parametrize(
    ("table", "key", "value", "expected"),
    [
        pytest.param("data.store", "market", '"binance_us"', "binance_us", id="market"),
        pytest.param("data.store", "lock_timeout_seconds", "0", 0.0, id="lock_timeout_seconds"),
        pytest.param("data.api", "base_url", '"http://[::1]:8080/"', "http://[::1]:8080/", id="base_url"),
        pytest.param("data.api", "klines_endpoint", '"/api/v3/uiKlines"', "/api/v3/uiKlines", id="klines_endpoint"),
        pytest.param("data.api", "rate_limit_calls", "1", 1, id="rate_limit_calls"),
        pytest.param("data.api", "rate_limit_window", "0.5", 0.5, id="rate_limit_window"),
        pytest.param("data.api", "max_retries", "0", 0, id="max_retries"),
        pytest.param("data.api", "retry_delay", "0", 0.0, id="retry_delay"),
        pytest.param("data.api", "timeout_seconds", "5", 5.0, id="timeout_seconds"),
        pytest.param("data.api", "proxy", '"http://proxy.test:3128"', "http://proxy.test:3128", id="proxy"),
        pytest.param("data.archive", "enabled", "false", False, id="enabled"),
        pytest.param("data.archive", "base_url", '"http://mirror.test"', "http://mirror.test", id="archive base_url"),
        pytest.param("data.archive", "keep_files", "true", True, id="keep_files"),
        pytest.param("data.processing", "default_batch_size", "64", 64, id="default_batch_size"),
        pytest.param("data.processing", "max_gap_fill_hours", "1.5", 1.5, id="max_gap_fill_hours"),
        pytest.param("data.processing", "resample_validation", "false", False, id="resample_validation"),
        pytest.param("logging", "level", '"ERROR"', "ERROR", id="level"),
        pytest.param("logging", "console_output", "true", True, id="console_output"),
    ],
)
def test_a_key_of_the_file_acts(tmp_path: Path, table: str, key: str, value: str, expected: object) -> None:
    settings = read(tmp_path, f"[{table}]\n{key} = {value}\n")
    found = value_of(settings, table, key)
    assert found == expected
    assert type(found) is type(expected)
    assert settings.given == {f"{table}.{key}"}


@pytest.mark.parametrize(
    ("table", "key"),
    [
        *(("data", key) for key in KEYS["data"]),
        *(("data.store", "database"), ("data.store", "read_copy"), ("data.api", "ca_bundle")),
        ("logging", "directory"),
    ],
    ids=str,
)
def test_a_relative_path_is_relative_to_the_file(tmp_path: Path, table: str, key: str) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    relative = read(folder, f'[{table}]\n{key} = "down/here"\n')
    absolute = read(folder, f'[{table}]\n{key} = "/down/here"\n')
    assert Path(value_of(relative, table, key)) == folder / "down" / "here"
    assert Path(value_of(absolute, table, key)) == Path("/down/here")


def test_a_relative_settings_file_makes_absolute_paths(tmp_path: Path) -> None:
    (tmp_path / "down").mkdir()
    (tmp_path / "down" / "own.toml").write_text('[data.store]\ndatabase = "x.duckdb"\n')
    settings = get_settings("down/own.toml")
    assert settings.file == tmp_path / "down" / "own.toml"
    assert settings.store.database == tmp_path / "down" / "x.duckdb"


def test_base_data_path_moves_what_lies_under_it(tmp_path: Path) -> None:
    settings = read(tmp_path, '[data]\nbase_data_path = "/big"\nprocessed_data_path = "out"\n')
    assert settings.store.database == Path("/big/threadx.duckdb")
    assert settings.data.raw_data_path == Path("/big/raw")
    assert settings.data.processed_data_path == tmp_path / "out"


def test_a_path_from_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    settings = read(tmp_path, '[data.store]\ndatabase = "~/x.duckdb"\n')
    assert settings.store.database == Path("/home/somebody/x.duckdb")


def test_given_names_the_keys_of_the_file(tmp_path: Path) -> None:
    settings = read(tmp_path, '[data]\nbase_data_path = "d"\n[data.api]\nmax_retries = 3\n[logging]\n')
    assert settings.given == {"data.base_data_path", "data.api.max_retries"}


TEXT = '"many"'
NOT_TEXT = ["1", "1.5", "true", "[]", "{}", "2024-01-01"]
NOT_WHOLE = [TEXT, '"3"', "1.0", "true", "[]", "{}", "2024-01-01"]
NOT_NUMBER = [TEXT, '"3"', "true", "[]", "{}", "2024-01-01", "nan"]
NOT_BOOLEAN = [TEXT, '"true"', "0", "1", "[]", "{}"]
REFUSED: dict[tuple[str, str], list[str]] = {
    ("data", "base_data_path"): [*NOT_TEXT, '""', '" "', '"."', r'"a\u0000b"', '"~nobody-here/x"'],
    ("data", "raw_data_path"): [*NOT_TEXT, '""'],
    ("data", "processed_data_path"): [*NOT_TEXT, '""'],
    ("data.store", "database"): [*NOT_TEXT, '""', r'"a\u0000b"'],
    ("data.store", "market"): [*NOT_TEXT, '""', '"Binance"', '"binance spot"', '"1x"', r'"a\n"'],
    ("data.store", "read_copy"): [*NOT_TEXT, r'"a\u0000b"'],
    ("data.store", "lock_timeout_seconds"): [*NOT_NUMBER, "-0.1", "86401", "inf", "1" + "0" * 400],
    ("data.api", "base_url"): [
        *NOT_TEXT,
        *('""', '"api.binance.com"', '"ftp://api.binance.com"', '"http://"', '"http://[::1"', '"http://a:0"'),
        *('"http://a:99999"', '"http://a:b"', '"http://a b"', '"https://a.test/?x=1"', '"https://a.test/#x"'),
    ],
    ("data.api", "klines_endpoint"): [*NOT_TEXT, '""', '"/"', '"api/v3/klines"', '"/a?b=c"', '"/a b"', r'"/a\n"'],
    ("data.api", "rate_limit_calls"): [*NOT_WHOLE, "0", "-1", "1000001"],
    ("data.api", "rate_limit_window"): [*NOT_NUMBER, "0", "-1", "86400.1", "inf"],
    ("data.api", "max_retries"): [*NOT_WHOLE, "-1", "101"],
    ("data.api", "retry_delay"): [*NOT_NUMBER, "-1", "3601", "inf"],
    ("data.api", "timeout_seconds"): [*NOT_NUMBER, "0", "-1", "86401", "inf"],
    ("data.api", "proxy"): [*NOT_TEXT, '"proxy:3128"', '"http://"'],
    ("data.api", "ca_bundle"): [*NOT_TEXT, r'"a\u0000b"'],
    ("data.archive", "enabled"): NOT_BOOLEAN,
    ("data.archive", "base_url"): [*NOT_TEXT, '""', '"data.binance.vision"'],
    ("data.archive", "keep_files"): NOT_BOOLEAN,
    ("data.processing", "default_batch_size"): [*NOT_WHOLE, "0", "65"],
    ("data.processing", "max_gap_fill_hours"): [*NOT_NUMBER, "-1", "168.5", "inf"],
    ("data.processing", "resample_validation"): NOT_BOOLEAN,
    ("logging", "level"): [*NOT_TEXT, '""', '"info"', '"ALL"'],
    ("logging", "console_output"): NOT_BOOLEAN,
    ("logging", "directory"): [*NOT_TEXT, '""'],
}


def test_every_key_has_values_that_it_refuses() -> None:
    assert set(REFUSED) == set(EVERY_KEY)


@pytest.mark.parametrize(
    ("table", "key", "value"),
    [
        pytest.param(table, key, value, id=f"{table}.{key}={value[:24]}")
        for (table, key), values in REFUSED.items()
        for value in values
    ],
)
def test_an_impossible_value_is_refused_with_what_is_accepted(tmp_path: Path, table: str, key: str, value: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read(tmp_path, f"[{table}]\n{key} = {value}\n")
    message = str(refused.value)
    assert message.startswith(f"{tmp_path / 'own.toml'}: [{table}] ")
    assert message.endswith(".")
    if value != "{}":  # an empty table of that name, which is not one of settings
        assert f"[{table}] {key} is " in message
        assert "; it takes " in message


def test_the_refusal_shows_the_value_as_the_file_has_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refused:
        read(tmp_path, '[data.api]\nmax_retries = "many"\n')
    assert str(refused.value) == (
        f'{tmp_path / "own.toml"}: [data.api] max_retries is "many"; it takes a whole number from 0 to 100.'
    )
    with pytest.raises(SettingsError, match="max_retries is true; it takes"):
        read(tmp_path, "[data.api]\nmax_retries = true\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            "[data.api]\nmax_retry = 3", r"\[data\.api\] has no key max_retry\. Its keys are base_url, ", id="key"
        ),
        pytest.param("[data.api.more]\nx = 3", r"\[data\.api\] has no key more\.", id="table in a table"),
        pytest.param("[data.apis]\nx = 3", r"\[data\] has no key apis\.", id="table in data"),
        pytest.param(
            "[api]\nmax_retries = 3", r"\[api\] is not a table of settings\. The tables are \[data\], ", id="table"
        ),
        pytest.param("[api]", r"\[api\] is not a table of settings\.", id="empty table"),
        pytest.param("max_retries = 3", r"max_retries stands in no table\. The tables are ", id="no table"),
        pytest.param("data = 3", r"data stands in no table\.", id="table as a number"),
        pytest.param("[[data]]\nx = 3", r"data stands in no table\.", id="array of tables"),
        pytest.param("[data]\napi = 3", r"\[data\] has no key api\.", id="inner table as a number"),
    ],
)
def test_an_unknown_key_or_table_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=f"own\\.toml: {message}"):
        read(tmp_path, text)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"[data\n", id="open bracket"),
        pytest.param(b"[data.api]\nmax_retries = \n", id="no value"),
        pytest.param(b"[data.api]\nmax_retries = 1\nmax_retries = 2\n", id="key twice"),
        pytest.param(b'[logging]\nlevel = "\xff"\n', id="not UTF-8"),
        pytest.param(b"\x00", id="zero byte"),
        pytest.param(b"[data.api]\nmax_retries = " + b"9" * 5_000, id="digits beyond reading"),
    ],
)
def test_invalid_toml_is_refused_with_its_place(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "own.toml"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match=r"own\.toml is not valid TOML: .*\."):
        get_settings(file)


CASES = Path(__file__).parents[1] / "data" / "cases" / "toml"


def test_a_byte_order_mark_before_the_first_table_is_no_part_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--config", str(CASES / "bom.toml"), "config"]) == 0
    assert str(CASES / "data") in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param((CASES / "backslash.toml").read_bytes(), r"path in single quotes: 'C:\Users\me\candles'", id="U"),
        pytest.param(
            b'[data.store]\ndatabase = "D:\\store\\x.duckdb" # mine\n',
            r"path in single quotes: 'D:\store\x.duckdb'",
            id="s",
        ),
        pytest.param(
            b'[data]\nbase_data_path = "C:\\temp\\new"\n',
            r'base_data_path is "C:\temp\new"; it takes a path. A path with backslashes stands in single quotes',
            id="t is a tab",
        ),
        pytest.param(b'[data]\nbase_data_path = "d\xe4ta"\n', "Save it as UTF-8.", id="another encoding"),
    ],
)
def test_a_path_of_windows_is_refused_with_how_to_write_it(
    content: bytes, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own.toml").write_bytes(content)
    assert run(["--config", str(tmp_path / "own.toml"), "config"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("threadx: error: ")
    assert message.replace("\\\\", "\\") in line


def test_a_path_of_windows_in_single_quotes_is_taken(tmp_path: Path) -> None:
    assert read(tmp_path, "[logging]\ndirectory = 'D:\\new\\logs'").logging.directory.name == r"D:\new\logs"


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^There is no settings file .*nowhere\.toml\."):
        get_settings(tmp_path / "nowhere.toml")


def test_a_folder_as_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^Cannot read the settings file .*: Is a directory\.$"):
        get_settings(tmp_path)


def _write(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(character):08x}" for character in value) + '"'
    if isinstance(value, list):
        return f"[{', '.join(map(_write, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_write(key)} = {_write(entry)}" for key, entry in value.items()) + "}"
    return str(value)


_VALUES = st.recursive(
    st.one_of(
        st.booleans(),
        st.integers(),
        st.integers(10**308, 10**320),
        st.floats(),
        st.text(),
        st.sampled_from(["~", "~x", "~root/a", "http://", "/", "..", "binance_spot", "INFO"]),
        st.datetimes().map(lambda moment: moment.isoformat()).filter(lambda text: "." not in text),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=4,
)


@given(st.sampled_from(EVERY_KEY), _VALUES)
@example(("data.store", "database"), "~nobody-here")
@example(("data.api", "timeout_seconds"), 10**400)
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_value_of_any_key_gives_settings_or_a_settings_error(
    tmp_path: Path, place: tuple[str, str], value: Any
) -> None:
    table, key = place
    try:
        settings = read(tmp_path, f"[{table}]\n{key} = {_write(value)}\n")
    except SettingsError:
        return
    assert settings.given == {f"{table}.{key}"}
    assert settings.store.database.is_absolute()
