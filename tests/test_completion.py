"""`threadx_duck.cli.completion`: what Tab offers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from threadx_duck import IngestionManager
from threadx_duck.cli.main import threadx
from threadx_duck.config import Settings


def _offered(*words: str) -> list[str]:
    completion = ShellComplete(threadx, {}, "threadx", "_THREADX_COMPLETE")
    return [item.value for item in completion.get_completions(list(words[:-1]), words[-1])]


@pytest.fixture
def stored(settings: Settings) -> None:
    """A store with two symbols, as the settings of the current folder name it."""
    with IngestionManager(settings) as manager:
        manager.update_assets_batch(["BTCUSDC", "ETHUSDC"], "2024-01-01", "2024-01-01")


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("command", ["ingest", "follow", "status", "gaps", "check", "candles", "remove"])
def test_symbol_of_a_command_is_one_that_is_stored(command: str) -> None:
    assert _offered(command, "") == ["BTCUSDC", "ETHUSDC"]
    assert _offered(command, "E") == ["ETHUSDC"]


@pytest.mark.usefixtures("stored")
def test_symbol_of_a_named_store_comes_from_there(tmp_path: Path) -> None:
    (tmp_path / "data" / "threadx.duckdb").rename(tmp_path / "mine.duckdb")
    assert _offered("--db", "mine.duckdb", "status", "B") == ["BTCUSDC"]
    assert _offered("status", "B") == []


def test_timeframe_is_one_with_a_view() -> None:
    assert _offered("candles", "BTCUSDC", "1") == ["1m", "15m", "1h", "12h", "1d", "1w", "1mo"]


def test_symbol_without_a_store_offers_nothing() -> None:
    assert _offered("status", "") == []


def test_symbol_with_broken_settings_offers_nothing(tmp_path: Path) -> None:
    (tmp_path / "paths.toml").write_text("[nonsense]")
    assert _offered("status", "") == []


@pytest.mark.usefixtures("stored")
def test_bash_completes_commands_symbols_and_timeframes(tmp_path: Path) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash on this machine")
    program = tmp_path / "threadx"
    program.write_text(f"#!{sys.executable}\nfrom threadx_duck.cli import main\nmain()\n")
    program.chmod(0o755)
    script = """
        eval "$(_THREADX_COMPLETE=bash_source threadx)"
        complete_words() {
            COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
            _threadx_completion threadx
            echo "${COMPREPLY[*]}"
        }
        complete_words threadx fol
        complete_words threadx follow E
        complete_words threadx export --timeframe 4
    """
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run([bash, "-c", script], capture_output=True, text=True, env=os.environ | {"PATH": path})
    assert done.stdout.splitlines() == ["follow", "ETHUSDC", "4h"], done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_of_a_shell_is_printed(shell: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from threadx_duck.cli import main; main()"],
        capture_output=True,
        text=True,
        env=os.environ | {"_THREADX_COMPLETE": f"{shell}_source"},
    )
    assert "_threadx_completion" in done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.usefixtures("stored")
def test_output_to_a_full_disk_is_one_line(tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "threadx_duck", "status", "--json"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert (done.returncode, done.stderr) == (
        1,
        "threadx: error: Cannot write the result: No space left on device.\n",
    )
