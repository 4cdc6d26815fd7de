"""Every benchmark script runs, on tiny sizes and without other environments; how long things take is not judged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parent.parent / "benchmarks"

COMMANDS = {
    "archive": ["--months", "1", "--repeat", "1", "--latency", "0", "--skip", "freqtrade,ccxt", "--symbols", "2"],
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
