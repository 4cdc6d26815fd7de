"""What people type: the same words work in every command."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import click
import orjson
import pytest

from tests.conftest import Invoke
from threadx_duck.cli.commands import COMMANDS, GROUPS
from threadx_duck.cli.main import threadx
from threadx_duck.config import Settings
from threadx_duck.ingest import IngestionManager

TERMINAL = 80


def on_a_terminal(*arguments: str, columns: int = TERMINAL) -> list[str]:
    """Runs a command on a terminal of its own, and returns the lines that it shows there."""
    ours, theirs = pty.openpty()
    program = [sys.executable, "-m", "threadx_duck", *arguments]
    with subprocess.Popen(
        program, stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, "COLUMNS": str(columns)}
    ) as running:
        os.close(theirs)
        shown = b""
        while part := _read(ours):
            shown += part
        running.wait()
    os.close(ours)
    return shown.decode().replace("\r\n", "\n").splitlines()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:
        return b""


# The help


@pytest.mark.slow
def test_help_on_a_terminal_has_five_groups_with_a_short_line_for_each_command() -> None:
    lines = on_a_terminal("--help")
    assert max(map(len, lines)) <= TERMINAL
    shown = "\n".join(lines)
    assert list(GROUPS) == ["Get", "Read", "Prove", "Keep", "Share"]
    for title, group in GROUPS.items():
        section = shown.partition(f"\n{title}:\n")[2].partition("\n\n")[0].splitlines()
        assert [line.split()[0] for line in section] == list(group)
        assert [line.split(maxsplit=1)[1] for line in section] == list(group.values())
        assert all(text.endswith(".") for text in group.values())


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_fits_a_terminal_and_names_the_global_options(invoke: Invoke, name: str) -> None:
    shown = invoke(name, "--help").stdout
    assert [line for line in shown.splitlines() if len(line) > TERMINAL] == []
    assert "--config PATH, --db PATH, --verbose, --quiet" in shown


# Global options


@pytest.mark.parametrize("name", COMMANDS)
def test_global_options_act_on_either_side_of_every_command(name: str, tmp_path: Path) -> None:
    """Parses the line as the program would, and runs nothing."""
    given = ["--config", "other.toml", "--db", "other.duckdb", "--quiet"]
    arguments = {
        "candles": ["BTCUSDC", "1h"],
        "query": ["select 1"],
        "chart": ["BTCUSDC", "1h"],
        "explain": ["BTCUSDC", "2024-01-01"],
        "import": ["a.csv"],
        "diff": [str(tmp_path)],
        "verify": ["-t", "1h"],
        "backup": ["a.duckdb"],
        "migrate": ["a.duckdb"],
        "remove": ["BTCUSDC"],
    }.get(name, [])
    (tmp_path / "b.duckdb").touch()
    arguments = ["b.duckdb"] if name == "diff" else arguments
    seen = []
    for line in ([*given, name, *arguments], [name, *arguments, *given], [*given[:2], name, *given[2:], *arguments]):
        with threadx.make_context("threadx", list(line)) as context:
            context.params.pop("help", None)
            context.invoke(threadx.callback, **context.params)
            rest = [*context._protected_args, *context.args] if hasattr(context, "_protected_args") else context.args
            _, command, left = threadx.resolve_command(context, rest)
            assert command is not None
            with command.make_context(name, left, parent=context):
                seen.append(context.obj)
    assert seen[0] == seen[1] == seen[2]
    assert (str(seen[0].config), seen[0].database, seen[0].quiet) == ("other.toml", "other.duckdb", True)


def test_global_option_after_the_command_replaces_one_before_it(invoke: Invoke, settings: Settings) -> None:
    ended = invoke("--db", "one.duckdb", "status", "--db", "two.duckdb")
    assert "There is no store at" in ended.stderr
    assert "two.duckdb" in ended.stderr


@pytest.mark.parametrize(
    "line",
    [["--quiet", "--verbose", "status"], ["--quiet", "status", "--verbose"], ["status", "--quiet", "--verbose"]],
    ids=["before", "both sides", "after"],
)
def test_quiet_and_verbose_exclude_each_other_on_any_side(invoke: Invoke, line: list[str]) -> None:
    ended = invoke(*line)
    assert ended.exit_code == 2
    assert "--verbose and --quiet exclude each other." in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_completion_after_the_command_reads_the_store_that_is_named(invoke: Invoke) -> None:
    group = threadx.make_context("threadx", ["--db", "one.duckdb", "status"], resilient_parsing=True)
    command = threadx.get_command(group, "status")
    assert isinstance(command, click.Command)
    command.make_context("status", ["--db", "two.duckdb"], parent=group, resilient_parsing=True)
    assert group.params["database"] == "two.duckdb"


# Every command on a store


@pytest.fixture
def filled(settings: Settings) -> Settings:
    with IngestionManager(settings) as manager:
        manager.update_assets_batch(["BTCUSDC", "ETHUSDC"], "2024-01-01", "2024-01-02")
    return settings


# What each command is given to succeed, with SYM for a symbol.
LINES = {
    "ingest": "ingest SYM --start 2024-01-01 --end 2024-01-02",
    "dry run": "ingest SYM --start 2024-01-01 --end 2024-01-03 --dry-run",
    "follow": "follow SYM --once",
    "symbols": "symbols --quote usdc",
    "status": "status SYM",
    "candles": "candles SYM 1h --end 2024-01-01",
    "query": "query select(1)",
    "chart": "chart SYM 1h --no-open",
    "coverage-map": "coverage-map --no-open",
    "gaps": "gaps SYM",
    "check": "check SYM",
    "verify": "verify SYM -t 1h",
    "explain": "explain SYM 2024-01-01T10:00",
    "revisions": "revisions SYM",
    "fingerprint": "fingerprint SYM",
    "config": "config",
    "init": "config --init --config new.toml",
    "backup": "backup copy.duckdb",
    "compact": "compact",
    "migrate": "migrate moved.duckdb",
    "publish": "publish read.duckdb",
    "remove": "remove SYM --end 2024-01-01 --dry-run",
    "removal": "remove SYM --end 2024-01-01 --yes",
    "export": "export SYM -o out",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LINES)
def test_json_is_one_document_and_quiet_leaves_stderr_empty(filled: Settings, invoke: Invoke, name: str) -> None:
    ended = invoke(*LINES[name].replace("SYM", "BTCUSDC").split(), "--json", "--quiet")
    assert (ended.exit_code, ended.stderr) == (0, "")
    assert isinstance(orjson.loads(ended.stdout), dict | list)
    assert not re.search(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(?!Z)", ended.stdout.replace(".000000", ""))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, line in LINES.items() if "SYM" in line])
@pytest.mark.parametrize("typed", ["btcusdc", "BTC/USDC", "btc-usdc"])
def test_symbol_in_any_spelling_gives_the_answer_of_the_exchanges(
    filled: Settings, invoke: Invoke, name: str, typed: str
) -> None:
    if name in {"ingest", "removal", "follow"}:
        ended = invoke(*LINES[name].replace("SYM", typed).split(), "--json")
        assert ended.exit_code == 0
        return
    line = [*LINES[name].split(), "--json"]
    first = invoke(*(word.replace("SYM", "BTCUSDC") for word in line))
    second = invoke(*(word.replace("SYM", typed) for word in line))
    known = re.compile(r'"seconds": [0-9.]+|"status": "(written|unchanged)"')
    assert known.sub("", first.stdout) == known.sub("", second.stdout)
    assert second.exit_code == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [
        "ingest BTCUSDC --end 2024-01-02 --json",
        "verify BTCUSDC --json",
        "export BTCUSDC --json",
        "explain BTCUSDC 2024-01-01 --json",
        "candles BTCUSDC --json",
        "chart BTCUSDC --no-open --json",
    ],
)
def test_timeframes_by_commas_are_those_of_a_repeated_option(filled: Settings, invoke: Invoke, line: str) -> None:
    known = re.compile(r'"seconds": [0-9.]+|"status": "(written|unchanged)"')
    ended = [invoke(*line.split(), *more) for more in (("-t", "1h,4h"), ("-t", "1h", "-t", "4h,1h"))]
    assert [one.exit_code for one in ended] == [0, 0]
    assert known.sub("", ended[0].stdout) == known.sub("", ended[1].stdout)
    assert line.startswith("ingest") or ended[0].stdout.count("4h") > 0
    assert invoke(*line.split(), "-t", "1h,7x").exit_code == 2


def test_candles_of_several_timeframes_say_which_is_which(filled: Settings, invoke: Invoke) -> None:
    rows = orjson.loads(invoke("candles", "BTCUSDC", "12h,1m", "--end", "2024-01-01T00:02", "--json").stdout)
    assert [(row["timeframe"], row["open_time"][11:16]) for row in rows] == [
        ("12h", "00:00"),
        ("1m", "00:00"),
        ("1m", "00:01"),
    ]


@pytest.mark.parametrize(
    "command", ["candles BTCUSDC 1h", "gaps", "fingerprint", "revisions", "verify -t 1h", "export"]
)
def test_range_in_the_future_is_refused_and_times_back_from_now_are_read(
    filled: Settings, invoke: Invoke, command: str
) -> None:
    refused = invoke(*command.split(), "--start", "2199-01-01")
    assert refused.exit_code == 2
    assert "The range begins at 2199-01-01T00:00:00Z, but it is " in refused.stderr
    for start, end in (("30d", "yesterday"), ("12h", "90m"), ("4w", "today")):
        read = invoke(*command.split(), "--start", start, "--end", end)
        assert "Cannot read the time" not in read.stderr
        assert read.exit_code == (1 if command.startswith("verify") else 0)


@pytest.mark.parametrize(
    "line",
    ["candles btcusdc 1h", "gaps btcusdc", "revisions btcusdc", "fingerprint btcusdc", "verify btcusdc -t 1h"],
)
def test_empty_answer_says_what_is_stored(filled: Settings, invoke: Invoke, line: str) -> None:
    shown = invoke(*line.split(), "--start", "2023-01-01", "--end", "2023-01-31").stderr
    assert "Stored: BTCUSDC, from 2024-01-01 00:00 to 2024-01-02 23:59 UTC." in shown


def test_empty_rows_of_a_query_say_what_is_stored(filled: Settings, invoke: Invoke) -> None:
    ended = invoke("query", "from candles_1d where symbol = 'NOPE'")
    assert ended.stderr == "note: No rows. Stored: BTCUSDC, ETHUSDC, from 2024-01-01 00:00 to 2024-01-02 23:59 UTC.\n"


@pytest.mark.parametrize(
    "line", ["candles BTCUSDC 1h", "query select(1)", "chart BTCUSDC 1h", "coverage-map", "export"]
)
def test_file_with_an_ending_that_says_something_else_is_refused(filled: Settings, invoke: Invoke, line: str) -> None:
    ended = invoke(*line.split(), "-o", "x.xlsx")
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert ".html" in ended.stderr or ".csv, .json, .parquet, .arrow, .feather" in ended.stderr
    assert not Path("x.xlsx").exists()


def test_export_takes_symbols_where_others_do_and_says_how_to_name_a_folder(filled: Settings, invoke: Invoke) -> None:
    assert invoke("export", "BTCUSDC", "-o", "out").exit_code == 0
    assert sorted(path.name for path in Path("out").glob("*.parquet")) == ["BTCUSDC-1m.parquet"]
    ended = invoke("export", "lake")
    assert ended.exit_code == 2
    assert ended.stderr.endswith(" If a folder is meant: threadx export -o lake\n")


def test_dry_run_is_one_line_a_symbol_and_each_request_with_verbose(settings: Settings, invoke: Invoke) -> None:
    line = ["ingest", "BTCUSDC", "SOLUSDC", "NOPE", "--dry-run"]
    ended = invoke(*line)
    assert ended.exit_code == 1
    assert [row.split()[:3] for row in ended.stdout.splitlines()[2:]] == [
        ["BTCUSDC", "planned", "2024-01-01"],
        ["SOLUSDC", "planned", "2024-01-02"],
        ["NOPE", "failed", "0"],
    ]
    assert "no symbol 'NOPE'" in ended.stderr
    assert "reason" in invoke(*line, "--verbose").stdout
