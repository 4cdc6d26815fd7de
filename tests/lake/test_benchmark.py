"""The benchmark of the lake runs, on a tiny size; how long things take is not judged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.lake.server import Server

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "lake.py"


def test_script_prints_a_table_and_writes_its_rows(server: Server, tmp_path: Path) -> None:
    output = tmp_path / "rows.json"
    command = [sys.executable, str(SCRIPT), "--symbols", "1", "--days", "5", "--rounds", "1", "--json", str(output)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    rows = json.loads(output.read_text())["rows"]
    assert [row["work"] for row in rows][-1] == "bytes"
    assert all(row["work"] in run.stdout and row["theirs"] > 0 for row in rows)
