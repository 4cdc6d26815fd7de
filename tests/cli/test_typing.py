"""What people type: the same words work in every command."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import click
import pytest

from tests.conftest import Invoke
from threadx_duck.cli.commands import COMMANDS, GROUPS
from threadx_duck.cli.main import threadx
from threadx_duck.config import Settings

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
