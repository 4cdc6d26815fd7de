"""`threadx_duck.cli.completion`: what Tab offers."""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from threadx_duck import IngestionManager
from threadx_duck.cli.main import threadx
from threadx_duck.config import Settings

pytestmark = pytest.mark.slow


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


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program ``threadx`` that the shells find."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "threadx"
    program.write_text(f"#!{sys.executable}\nfrom threadx_duck.cli import main\nmain()\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def _type_in(shell: str, setup: str, lines: list[str]) -> list[list[str]]:
    """The words of each line after Tab, as typed at the terminal of a real shell."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "dumb", "PS1": "> ", "HISTFILE": ""}
    options = {"bash": ["--norc", "--noprofile", "-i"], "zsh": ["-f", "-i"]}[shell]
    session = subprocess.Popen(
        [shell, *options], stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
    )
    os.close(theirs)
    said = ""

    def send(text: str, answer: str) -> str:
        nonlocal said
        os.write(ours, text.encode())
        # The answer, and not the echo of what asks for it.
        while not (found := re.search(answer, said)):
            said += os.read(ours, 4096).decode(errors="replace")
        said = said[found.end() :]
        return found[0]

    try:
        send(f"{setup}; stty -echo cols 200; printf 'set%s' ' up'\n", "set up")
        # Ctrl-A and Ctrl-E go to the start and the end of the line: what Tab has made of it is printed.
        return [
            re.findall("<([^>]*)>", send(f"{line}\t\x01printf '<%s>' \x05 . \n", r"<threadx>.*<\.>")) for line in lines
        ]
    finally:
        session.kill()
        session.wait()
        os.close(ours)


_LINES = {
    "threadx fol": ["threadx", "follow"],
    "threadx ingest --ref": ["threadx", "ingest", "--refresh"],
    "threadx status E": ["threadx", "status", "ETHUSDC"],
    "threadx candles BTCUSDC 12": ["threadx", "candles", "BTCUSDC", "12h"],
    "threadx export --timeframe 4": ["threadx", "export", "--timeframe", "4h"],
    "threadx export --timeframe=4": ["threadx", "export", "--timeframe=4h"],
    "threadx export --timeframe=1m,4": ["threadx", "export", "--timeframe=1m,4h"],
    "threadx export --symbol BTCUSDC,E": ["threadx", "export", "--symbol", "BTCUSDC,ETHUSDC"],
    "threadx ingest --source ar": ["threadx", "ingest", "--source", "archive"],
    "threadx --config ./pa": ["threadx", "--config", "./paths.toml"],
}


@pytest.mark.usefixtures("stored", "on_path")
@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_tab_at_a_terminal_completes_the_word(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} on this machine")
    setup = f'eval "$(_THREADX_COMPLETE={shell}_source threadx)"'
    if shell == "zsh":
        setup = f"bindkey -e; autoload -U compinit; compinit -u -D; {setup}"
    typed = _type_in(shell, setup, list(_LINES))
    assert typed == [[*words, "."] for words in _LINES.values()]


@pytest.mark.usefixtures("stored", "on_path")
def test_fish_offers_what_completes_the_word() -> None:
    fish = shutil.which("fish")
    if fish is None:
        pytest.skip("no fish on this machine")
    asked = "; ".join(f"complete -C '{line}'; echo ==" for line in _LINES)
    script = f"_THREADX_COMPLETE=fish_source threadx | source; {asked}"
    done = subprocess.run([fish, "--no-config", "-c", script], capture_output=True, text=True)
    offered = [[line.partition("\t")[0] for line in part.split("\n") if line] for part in done.stdout.split("==\n")]
    assert offered[:-1] == [[words[-1]] for words in _LINES.values()], done.stderr


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


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.usefixtures("stored")
def test_output_to_a_full_disk_shows_where_when_verbose() -> None:
    command = [sys.executable, "-m", "threadx_duck", "--verbose", "status", "--json"]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert done.stderr.endswith("\nthreadx: error: Cannot write the result: No space left on device.\n")
