"""The documents say what is: transcripts, Python blocks, commands, settings and checks are compared with the code."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
import tomli

import threadx_duck
from tests.clients.__main__ import CLIENTS, RECORD, recorded
from tests.support.transcripts import (
    CHECKS,
    DOCUMENTS,
    ROOT,
    catalogue,
    consoles,
    masked,
    python_blocks,
    replay,
    surroundings,
)
from threadx_duck.cli.commands import COMMANDS
from threadx_duck.cli.main import threadx
from threadx_duck.config import TABLES, get_settings


def _read(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("document", DOCUMENTS)
def test_transcripts_and_python_of_a_document_are_what_happens(document: str) -> None:
    text = _read(document)
    assert consoles(text)
    assert python_blocks(text)
    with surroundings():
        for block in consoles(text):
            assert masked(replay(block)) == masked(block)
        for block in python_blocks(text):
            exec(compile(block, document, "exec"), {})


def test_catalogue_lists_every_check() -> None:
    assert _read(CHECKS).endswith(catalogue())


def test_readme_is_read_in_one_sitting_and_the_index_names_every_page() -> None:
    assert len(_read("README.md").splitlines()) < 150
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert pages <= set(re.findall(r"\]\(([^)#]+)\)", _read("docs/README.md")))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_of_a_document_lead_somewhere(document: str) -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", _read(document))
    assert targets
    folder = (ROOT / document).parent
    assert [target for target in targets if "://" not in target and not (folder / target).exists()] == []


@pytest.mark.parametrize(
    "path", sorted((ROOT / "docs").rglob("*.md")), ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_page_of_the_docs_links_to_what_is_there_and_names_commands_that_are(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    targets = [target for target in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in target]
    assert [target for target in targets if not (path.parent / target).exists()] == []
    named = set(re.findall(r"(?:^|[`/ ])threadx ([a-z][a-z-]+)", text, re.MULTILINE))
    assert named <= set(COMMANDS)


def test_clients_page_links_to_every_page_and_has_a_row_for_every_client() -> None:
    text = RECORD.read_text(encoding="utf-8")
    pages = {path.name for path in RECORD.parent.glob("*.md")} - {RECORD.name}
    assert pages <= set(re.findall(r"\]\(([^)#]+)\)", text))
    assert re.findall(r"^\| `(\S+)` \| \S.*\|$", text, re.MULTILINE) == list(CLIENTS)


def test_recorded_versions_take_the_place_of_the_last() -> None:
    text = "| `one` | 1.0 |\n| `two` | |\n| `three` | 3 |\n"
    assert (
        recorded(text, {"one": "1.1, old", "two": "2.0"}) == "| `one` | 1.1, old |\n| `two` | 2.0 |\n| `three` | 3 |\n"
    )


@pytest.mark.parametrize("document", DOCUMENTS)
def test_test_command_of_a_document_is_what_ci_runs(document: str) -> None:
    (command,) = [line for line in _read(document).splitlines() if line.endswith("-m pytest -n 4")]
    run = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert command in [line.strip() for line in run]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_command_is_on_its_page_and_in_the_readme_and_has_help_with_an_example(name: str) -> None:
    command = threadx.get_command(click.Context(threadx), name)
    assert command is not None
    assert f"| `{name}` |" in _read("docs/commands.md")
    assert f"`{name}`" in _read("README.md")
    with click.Context(command, info_name=f"threadx {name}", help_option_names=["-h", "--help"]) as context:
        text = command.get_help(context)
    assert command.help
    assert name == "demo" or f"threadx {name}" in text.partition("Example")[2]
    assert all(option.help for option in command.params if isinstance(option, click.Option))


def test_paths_toml_gives_every_key_its_default(tmp_path: Path) -> None:
    text = _read("paths.toml")
    (tmp_path / "paths.toml").write_text(text)
    (tmp_path / "empty.toml").write_text("")
    given, built_in = get_settings(tmp_path / "paths.toml"), get_settings(tmp_path / "empty.toml")
    assert all(getattr(given, attribute) == getattr(built_in, attribute) for attribute in TABLES.values())
    written_out = get_settings(_uncommented(tmp_path, text))
    assert all(getattr(written_out, attribute) == getattr(built_in, attribute) for attribute in TABLES.values())
    everything = {f"{table}.{key}" for table, name in TABLES.items() for key in vars(getattr(built_in, name))}
    assert written_out.given == everything


def _uncommented(folder: Path, text: str) -> Path:
    file = folder / "uncommented.toml"
    file.write_text(re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE))
    return file


def test_public_names_are_sorted_documented_and_there() -> None:
    names = threadx_duck.__all__
    assert names == sorted(names)
    assert all(getattr(threadx_duck, name).__doc__ for name in names)
    assert set(names) <= set(dir(threadx_duck))
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        threadx_duck.Nothing  # noqa: B018


def test_version_stands_in_pyproject_and_opens_the_changelog() -> None:
    version = tomli.loads(_read("pyproject.toml"))["project"]["version"]
    headings = re.findall(r"^## (.*)$", _read("CHANGELOG.md"), re.MULTILINE)
    assert headings[0] == "Unreleased" or headings[0].startswith(version)
