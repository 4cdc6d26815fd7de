"""The transcripts and Python blocks of the README, and the catalogue of checks: run, compared, and written anew.

``python -m tests.support.transcripts`` writes what the commands print, and the catalogue of checks.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from threadx_duck.cli.main import run
from threadx_duck.simulator import LoopbackExchange, generate_market
from threadx_duck.storage.sqlfiles import list_sql

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = ("README.md", "docs/README.fr.md")
CHECKS = "docs/checks.md"

NOW = datetime(2025, 3, 10, 12, tzinfo=UTC)

_CONSOLE = re.compile(r"(?<=```console\n)(.*?)(?=```)", re.DOTALL)
_PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)
_CATALOGUE = re.compile(r"(?<=<!-- checks -->\n).*\Z", re.DOTALL)
_VOLATILE = re.compile(r"\d+\.\d (?=seconds|MB)|(?<= )\d+\.?\d*(?=\n)")


@contextlib.contextmanager
def surroundings() -> Iterator[None]:
    """An empty folder with a ``paths.toml`` for the exchange that all documents talk to."""
    market = generate_market(
        ("BTCUSDC", "ETHUSDC", "SOLUSDC"),
        start=datetime(2025, 1, 20, tzinfo=UTC),
        end=NOW,
        outages=[(datetime(2025, 2, 11, 3, 41, tzinfo=UTC), datetime(2025, 2, 11, 5, tzinfo=UTC))],
        quiet={"SOLUSDC": 0.4},
    )
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder, LoopbackExchange(market, now=NOW) as exchange:
        os.chdir(folder)
        Path("paths.toml").write_text(
            f'[data.api]\nbase_url = "{exchange.url}"\n[data.archive]\nbase_url = "{exchange.url}"\n'
        )
        try:
            yield
        finally:
            os.chdir(before)


def consoles(text: str) -> list[str]:
    """The console blocks of a document."""
    return _CONSOLE.findall(text)


def python_blocks(text: str) -> list[str]:
    """The Python blocks of a document."""
    return _PYTHON.findall(text)


def replay(block: str) -> str:
    """The block with what its commands print now; a blank line stands between two commands."""
    commands = [line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")]
    return "\n".join(f"$ {command}\n{_output(command)}" for command in commands)


def masked(block: str) -> str:
    """The block without what differs from run to run: durations, file sizes, widths of columns."""
    lines = (re.sub(r"\s+", " ", line) + "\n" for line in block.splitlines())
    return "".join(_VOLATILE.sub("*", line) for line in lines if set(line.strip()) != {"─"})


def catalogue() -> str:
    """The checks as a table, from the headers of their files."""
    rows = [
        f"| [`{check.relation}`](../sql/checks/{check.relation}.sql) | {check.title} |" for check in list_sql("checks")
    ]
    return "\n" + "\n".join(["| check | |", "|---|---|", *rows]) + "\n"


def _output(command: str) -> str:
    program, *arguments = shlex.split(command)
    if program != "threadx":
        raise ValueError(f"only threadx can be replayed, not {program}")
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
        run(arguments)
    written = stream.buffer.getvalue().decode()  # type: ignore[attr-defined]
    return "".join(line.rstrip() + "\n" for line in written.splitlines())


def _rewrite(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    with surroundings():
        text = _CONSOLE.sub(lambda found: replay(found[1]), text)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    for name in sys.argv[1:] or DOCUMENTS:
        _rewrite(ROOT / name)
    page = ROOT / CHECKS
    page.write_text(_CATALOGUE.sub(lambda _: catalogue(), page.read_text(encoding="utf-8")), encoding="utf-8")
