"""The example notebook in a kernel of its own, by the test that executes it from start to end."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from reading import report

root = Path(__file__).resolve().parents[3]
command = [sys.executable, "-m", "pytest", "-q", "-k", "start_to_end", "tests/test_notebook.py"]
done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
assert done.returncode == 0, done.stdout
assert "1 passed" in done.stdout, done.stdout
report([], [], [], version=f"jupysql {version('jupysql')}, nbclient {version('nbclient')}")
