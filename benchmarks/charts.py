"""How large a chart page is, and how long a headless Chromium takes to draw it.

``python benchmarks/charts.py`` draws made-up hours: 2,000, a year, 50,000 and 100,000 of them. The seconds run from
opening the file to the second frame after the script has drawn, the best of three.
"""

from __future__ import annotations

import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from tests.support.browser import find_program, launched
from threadx_duck.charts import candles as charts

COUNTS = (2_000, 8_760, 50_000, 100_000)


class Hours:
    """Stands for a store with a given number of hourly candles, without a gap."""

    def __init__(self, count: int) -> None:
        self._count = count

    def candles(self, *_: object) -> pa.Table:
        """Returns the candles as `IngestionManager.candles` does."""
        number = pa.array(range(self._count), pa.int64())
        wave = pc.sin(pc.divide(number.cast(pa.float64()), 37.0))
        close = pc.round(pc.add(60_000.0, pc.multiply(wave, 9_000.0)), 2)
        opened = pc.round(pc.subtract(close, pc.multiply(wave, 35.0)), 2)
        start = (datetime(2015, 1, 1) - datetime(1970, 1, 1)) // timedelta(microseconds=1)
        times = pc.add(start, pc.multiply(number, 3_600_000_000)).cast(pa.timestamp("us"))
        return pa.table(
            {
                "open_time": times,
                "open": opened,
                "high": pc.round(pc.add(pc.max_element_wise(opened, close), 12.5), 2),
                "low": pc.round(pc.subtract(pc.min_element_wise(opened, close), 12.5), 2),
                "close": close,
                "volume": pc.round(pc.add(pc.multiply(wave, 40.0), 55.12345), 5),
                "minutes": pa.repeat(pa.scalar(60), self._count),
                "expected_minutes": pa.repeat(pa.scalar(60), self._count),
                "is_complete": pa.repeat(pa.scalar(True), self._count),
            }
        )

    def gaps(self, *_: object) -> pa.Table:
        """Returns no gap."""
        kinds = {
            "gap_start": pa.timestamp("us"),
            "gap_end": pa.timestamp("us"),
            "missing": pa.int64(),
            "reason": pa.string(),
        }
        return pa.table({name: pa.array([], kind) for name, kind in kinds.items()})


def main() -> None:
    """Prints one line per size."""
    program = find_program()
    if program is None:
        sys.exit("There is no Chromium on this machine.")
    print(f"{'candles':>8} {'bytes':>10} {'seconds':>8}")  # noqa: T201
    with tempfile.TemporaryDirectory() as folder, launched(program) as browser:
        for count in COUNTS:
            file = Path(folder) / f"{count}.html"
            charts.write_chart(Hours(count), "BTCUSDC", "1h", file=file)  # type: ignore[arg-type]
            seconds = []
            for _ in range(3):
                began = time.perf_counter()
                page = browser.open(file)
                seconds.append(time.perf_counter() - began)
                page.close()
            print(f"{count:>8,} {file.stat().st_size:>10,} {min(seconds):>8.2f}")  # noqa: T201


if __name__ == "__main__":
    main()
