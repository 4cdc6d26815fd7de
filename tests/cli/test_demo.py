"""``threadx demo`` and ``threadx config``: what a newcomer runs first."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from threadx_duck.cli.main import run
from threadx_duck.config import get_settings

pytestmark = pytest.mark.slow


def test_demo_shows_every_step_and_leaves_a_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo"]) == 0
    shown = capsys.readouterr()
    steps = re.findall(r"^\$ threadx (\w+)", shown.out, re.MULTILINE)
    assert steps[:2] == ["ingest", "ingest"]
    assert {"status", "gaps", "check", "candles", "verify", "explain"} <= set(steps)
    assert shown.out.count("outage") >= 3
    assert "error" not in shown.err
    assert (tmp_path / "threadx-demo" / "data" / "threadx.duckdb").exists()


def test_demo_commands_to_try_next_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["demo", "--dir", "tour"])
    capsys.readouterr()
    monkeypatch.chdir(tmp_path / "tour")
    assert run(["candles", "ETHUSDC", "3h", "--start", "2025-03-08"]) == 0
    assert run(["query", "select * from candles_1d where symbol = 'SOLUSDC'"]) == 0


def test_demo_run_again_replaces_the_earlier_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--quiet", "demo"]) == 0
    first = capsys.readouterr().out
    assert run(["--quiet", "demo"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(first.splitlines())


def test_demo_in_a_folder_that_holds_something_else_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    assert run(["demo", "--dir", "mine"]) == 2
    assert capsys.readouterr().err.startswith("threadx: error: mine holds something else.")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def _everything(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _project(folder: Path) -> None:
    (folder / "data").mkdir(parents=True)
    (folder / "paths.toml").write_text('[data.store]\nread_copy = "mine.duckdb"\n')
    (folder / "data" / "threadx.duckdb").write_bytes(b"years of candles")
    (folder / "data" / "threadx.duckdb.wal").write_bytes(b"and the latest")


@pytest.mark.parametrize("lacking", [None, "paths.toml", "data/threadx.duckdb", "data/threadx.duckdb.wal"])
@pytest.mark.parametrize("name", [".", "project", "link"])
def test_demo_never_touches_a_real_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, lacking: str | None
) -> None:
    _project(tmp_path / "project")
    (tmp_path / "link").symlink_to(tmp_path / "project")
    if lacking:
        (tmp_path / "project" / lacking).unlink()
    if name == ".":
        monkeypatch.chdir(tmp_path / "project")
    before = _everything(tmp_path)
    assert run(["demo", "--dir", name]) == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == (
        "",
        f"threadx: error: {name} holds something else. Name another folder: threadx demo --dir FOLDER\n",
    )
    assert _everything(tmp_path) == before


def test_demo_is_not_misled_by_the_name_of_its_mark(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _project(tmp_path / "project")
    (tmp_path / "project" / "threadx-demo.txt").write_text("notes of mine about the demo")
    before = _everything(tmp_path)
    assert run(["demo", "--dir", "project"]) == 2
    assert _everything(tmp_path) == before


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a demo, to copy."""
    folder = tmp_path_factory.mktemp("demo") / "tour"
    assert run(["--quiet", "demo", "--dir", str(folder)]) == 0
    return folder


def test_demo_whose_settings_were_changed_is_not_replaced(
    tmp_path: Path, earlier: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(earlier, tmp_path / "tour")
    with (tmp_path / "tour" / "paths.toml").open("a") as settings:
        settings.write("[data.archive]\nenabled = false\n")
    before = _everything(tmp_path)
    assert run(["demo", "--dir", "tour"]) == 2
    assert capsys.readouterr().err.startswith("threadx: error: tour/paths.toml was changed since the demo wrote it. ")
    assert _everything(tmp_path) == before


@pytest.mark.parametrize(
    "name", ["data", "data/threadx.duckdb", "data/threadx.duckdb.wal", "paths.toml", "threadx-demo.txt"]
)
def test_demo_follows_no_link_out_of_its_folder(
    tmp_path: Path, earlier: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    shutil.copytree(earlier, tmp_path / "tour")
    linked, mine = tmp_path / "tour" / name, tmp_path / "mine"
    if linked.exists():
        linked.rename(mine)
    else:
        mine.write_bytes(b"a log")
    linked.symlink_to(mine)
    before = _everything(tmp_path)
    assert run(["demo", "--dir", "tour"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert _everything(tmp_path) == before
    assert linked.is_symlink()


def test_demo_leaves_what_else_lies_in_its_folder(tmp_path: Path, earlier: Path) -> None:
    shutil.copytree(earlier, tmp_path / "tour")
    (tmp_path / "tour" / "data" / "mine.duckdb").write_bytes(b"mine")
    assert run(["--quiet", "demo", "--dir", "tour"]) == 0
    assert (tmp_path / "tour" / "data" / "mine.duckdb").read_bytes() == b"mine"


def test_config_names_where_each_setting_comes_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "paths.toml").write_text("[data.api]\ntimeout_seconds = 5\n")
    assert run(["--db", "other.duckdb", "config", "--json"]) == 0
    settings = {row["key"]: row for row in json.loads(capsys.readouterr().out)["settings"]}
    assert settings["data.api.timeout_seconds"] == {
        "key": "data.api.timeout_seconds",
        "value": 5.0,
        "from": str(tmp_path / "paths.toml"),
    }
    assert settings["data.store.database"]["from"] == "--db"
    assert settings["data.store.database"]["value"] == str(tmp_path / "other.duckdb")
    assert settings["data.archive.enabled"] == {"key": "data.archive.enabled", "value": True, "from": "default"}


def test_config_init_writes_a_file_with_every_default(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "--init"]) == 0
    assert capsys.readouterr().err == "note: Wrote paths.toml. Every key in it is optional.\n"
    assert get_settings().file == tmp_path / "paths.toml"


def test_config_init_never_overwrites(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "paths.toml").write_text("# mine\n")
    assert run(["config", "--init"]) == 2
    assert capsys.readouterr().err.startswith("threadx: error: paths.toml is there already.")
    assert (tmp_path / "paths.toml").read_text() == "# mine\n"


def test_config_init_into_a_folder_that_is_not_there_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--config", "nowhere/paths.toml", "config", "--init"]) == 2
    assert capsys.readouterr().err == ("threadx: error: Cannot write nowhere/paths.toml: No such file or directory.\n")
