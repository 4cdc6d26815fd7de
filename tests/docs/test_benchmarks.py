"""Every benchmark script runs, on tiny sizes and without other environments; how long things take is not judged."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from importlib import util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).resolve().parents[2] / "benchmarks"

COMMANDS = {
    "archive": [
        *("--months", "1", "--repeat", "1", "--latency", "0", "--symbols", "2"),
        *("--skip", "freqtrade,ccxt", "--ours", sys.executable),
    ],
    "queries": ["--minutes", "6e3", "--pruning-minutes", "6e3", "--rounds", "1", "--without-peers"],
    "gaps_and_checks": ["--minutes", "6e3", "--large-minutes", "8e3", "--rounds", "1", "--without-peers"],
    "verify": ["--minutes", "6e3", "--rounds", "1"],
    "size": ["--symbols", "2", "--days", "2", "--without-peers"],
    "budget": ["--calls", "4", "--window", "0.5", "--windows", "2"],
    "start_up": ["--symbols", "3", "--days", "2", "--rounds", "1"],
    "growth": ["--sizes", "5e3,6e3", "--rounds", "1", "--without-peers"],
}


def test_tables_are_what_the_results_say() -> None:
    command = [sys.executable, str(SCRIPTS / "report.py"), "--check"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (0, ""), run.stderr


@pytest.mark.parametrize("script", COMMANDS)
def test_script_prints_a_table_and_writes_its_rows(script: str, tmp_path: Path) -> None:
    output = tmp_path / "rows.json"
    command = [sys.executable, str(SCRIPTS / f"{script}.py"), *COMMANDS[script]]
    run = subprocess.run(
        [*command, "--data", str(tmp_path / "data"), "--json", str(output)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    rows = json.loads(output.read_text())["rows"]
    assert rows
    assert all(row["work"] in run.stdout and row["ours"] > 0 and row["theirs"] > 0 for row in rows)


TINY = ["--sizes", "5e3,9e3", "--days", "3", "--rounds", "1", "--fetched", "1", "--fetched-days", "3"]


def test_scale_measures_every_size_and_deletes_its_store(tmp_path: Path) -> None:
    output, data = tmp_path / "scale.json", tmp_path / "data"
    command = [sys.executable, str(SCRIPTS / "scale.py"), *TINY, "--export-at", "9e3", "--without-lake"]
    run = subprocess.run(
        [*command, "--without-peers", "--data", str(data), "--json", str(output)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    scale = json.loads(output.read_text())
    assert [point["candles"] >= size for point, size in zip(scale["points"], (5e3, 9e3), strict=True)] == [True, True]
    assert all(f"{point['candles']:,}" in run.stdout for point in scale["points"])
    assert all(query["peak"] > 0 for point in scale["points"] for query in point["queries"].values())
    assert [row["work"] for row in scale["once"]] == ["fetch", "export", "compaction"]
    assert not (data / "scale").exists()


@pytest.fixture(scope="module")
def scale_page() -> ModuleType:
    spec = util.spec_from_file_location("scale_page", SCRIPTS / "scale_page.py")
    assert spec
    assert spec.loader
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_page_on_scale_says_what_was_measured(scale_page: ModuleType) -> None:
    assert scale_page.PAGE.read_text(encoding="utf-8") == scale_page.current()


def test_page_on_scale_changes_with_what_is_measured(scale_page: ModuleType) -> None:
    scale: dict[str, Any] = json.loads((SCRIPTS / "results" / "scale.json").read_text())
    slower = copy.deepcopy(scale)
    slower["points"][-1]["queries"]["status"]["seconds"] += 100
    assert scale_page.tables(slower)["measured"] != scale_page.tables(scale)["measured"]
    assert scale_page.tables(slower)["reckoned"] != scale_page.tables(scale)["reckoned"]


def test_page_on_scale_without_a_place_for_a_table_is_refused(scale_page: ModuleType) -> None:
    with pytest.raises(ValueError, match="no part measured"):
        scale_page.written("nothing", {"measured": "| |"})
