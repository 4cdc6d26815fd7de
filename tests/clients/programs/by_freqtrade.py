"""freqtrade: lists what an export wrote, and loads it."""

import contextlib
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from freqtrade.data.history import load_pair_history
from reading import report

folder = Path(sys.argv[2])
program = str(Path(sys.executable).with_name("freqtrade"))
(folder / "user_data").mkdir(exist_ok=True)
options = ["--userdir", str(folder / "user_data"), "--datadir", str(folder), "--exchange", "binance"]
command = [program, "list-data", *options, "--show-timerange"]
listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
counts = {}
with contextlib.redirect_stdout(sys.stderr):
    for pair in ("BTC/USDC", "ETH/USDC"):
        assert pair in listed, listed
        hours = load_pair_history(pair, "1h", folder, fill_up_missing=False, drop_incomplete=False)
        counts[pair.replace("/", "")] = len(hours)
report([], [], counts.items(), version=f"freqtrade {version('freqtrade')}")
