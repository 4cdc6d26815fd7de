"""Writes the tables of docs/scale.md from the results of scale.py, and extrapolates them to the whole exchange.

Needs nothing but Python. A test compares the page with the results.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "scale.md"

# The whole exchange: minutes ever published; symbols that trade.
MINUTES = 4e9
TRADING = 600
DAY = TRADING * 1440

# The exchange's limits per address and minute; our own default; the bytes of a candle on the network.
WEIGHT, PAGE_WEIGHT, PAGE_CANDLES = 6_000, 2, 1_000
OUR_CALLS = 1_200
REST_BYTES, ZIP_BYTES = 180, 56

QUERIES = {
    "status": "`status`",
    "year": "1h of one symbol-year",
    "day": "one day of all symbols at 1h",
    "gaps_one": "`gaps` of one symbol",
    "gaps": "`gaps` of all symbols",
    "ingest": "`ingest`, nothing to do",
    "check": "`check`",
}
ONCE = {
    "fetch": "`ingest` from the archive",
    "export": "`export --format parquet --partition`",
    "compaction": "`compact`",
}

Point = Mapping[str, Any]
Value = Callable[[Point], float | None]


def tables(scale: Mapping[str, Any]) -> dict[str, str]:
    """Returns the text of each part of the page that shows figures."""
    stores: dict[str, list[Point]] = {}
    for point in scale["points"]:
        stores.setdefault(point["store"], []).append(point)
    once = {(row["store"], row["work"]): row for row in scale["once"]}
    return {
        "machine": _machine(scale["machine"], stores),
        "measured": _measured(stores),
        "once": _once(once.values()),
        "reckoned": _reckoned(stores, once),
        "backfill": _backfill(stores["file"][-1], once["file", "fetch"]),
    }


def written(page: str, parts: Mapping[str, str]) -> str:
    """Returns the page with its parts replaced."""
    for name, text in parts.items():
        mark = rf"(<!-- {name} -->\n).*?(<!-- end of {name} -->)"
        page, found = re.subn(mark, lambda marks, text=text: f"{marks[1]}\n{text}\n\n{marks[2]}", page, flags=re.DOTALL)
        if found != 1:
            raise ValueError(f"The page has no part {name}.")
    return page


def _machine(machine: Mapping[str, Any], stores: Mapping[str, Sequence[Point]]) -> str:
    versions = ", ".join(f"DuckDB {points[0]['duckdb']} for the {store}" for store, points in stores.items())
    return (
        f"Measured on {machine['date'][:10]} with {versions}, pyarrow {machine['pyarrow']} and "
        f"Python {machine['python']}; {machine['system']}, {machine['cores']} cores, load {machine['load']:.1f}."
    )


def _measured(stores: Mapping[str, Sequence[Point]]) -> str:
    figures: dict[str, Value] = {
        "files": lambda point: point["files"],
        "GB on disk": lambda point: point["bytes"] / 1e9,
        "bytes per candle": lambda point: point["bytes"] / point["candles"],
        "catalog, MB": lambda point: point["catalog_bytes"] / 1e6 or None,
        "append, candles per second": lambda point: point["median_rate"],
        "append, most MB": lambda point: point["append_peak"] / 1e6,
        **{f"{text}, s": _of(name, "seconds") for name, text in QUERIES.items()},
        **{f"{QUERIES[name]}, most MB": _of(name, "peak", 1e6) for name in ("gaps", "check")},
    }
    sizes = range(max(len(points) for points in stores.values()))
    longest = max(stores.values(), key=len)
    rows = [
        [text, *(" / ".join(_short(value(points[n])) for points in stores.values() if n < len(points)) for n in sizes)]
        for text, value in figures.items()
    ]
    return _table([" / ".join(stores), *(f"{point['candles'] / 1e6:.0f} M" for point in longest)], rows)


def _once(measured: Iterable[Mapping[str, Any]]) -> str:
    rows = [
        [
            ONCE[row["work"]],
            row["store"],
            f"{row['candles'] / 1e6:.0f} M",
            _short(row["seconds"]),
            _short(row["candles"] / row["seconds"]),
            _short(row["bytes"] / row["candles"]) if "bytes" in row else "",
            _short(row["peak"] / 1e6),
        ]
        for row in measured
    ]
    heads = ["", "", "minutes", "s", "candles per second", "bytes per candle then", "most MB"]
    return _table(heads, rows)


def _reckoned(stores: Mapping[str, Sequence[Point]], once: Mapping[tuple[str, str], Mapping[str, Any]]) -> str:
    lines: dict[str, Value] = {
        "catalog, MB": lambda point: point["catalog_bytes"] / 1e6 or None,
        **{f"{text}, s": _of(name, "seconds") for name, text in QUERIES.items()},
        **{f"{QUERIES[name]}, most GB": _of(name, "peak", 1e9) for name in ("gaps", "check")},
    }
    proportional: dict[str, Value] = {
        "GB on disk": lambda point: point["bytes"] / 1e9,
        "files": lambda point: None if point["files"] == 1 else point["files"],
        "`compact`, hours": lambda point: once.get((point["store"], "compaction"), {}).get("seconds", 0) / 3600 or None,
    }
    rows = [
        [text, "proportional", *(_short(_scaled(points[-1], value)) for points in stores.values())]
        for text, value in proportional.items()
    ]
    rows += [
        [text, "line", *(_short(_line(points, value)) for points in stores.values())] for text, value in lines.items()
    ]
    rows.append(
        ["append of everything, hours", "line, half way", *(_short(_hours(points)) for points in stores.values())]
    )
    # The files are the same, whichever store they come from.
    exported = next((row for (_, work), row in once.items() if work == "export"), None)
    size = _short(exported["bytes"] / exported["candles"] * MINUTES / 1e9 if exported else None)
    return _table(
        ["", "how", *stores], [*rows[:1], ["Parquet export, GB", "proportional", *[size] * len(stores)], *rows[1:]]
    )


def _backfill(file: Point, fetched: Mapping[str, Any]) -> str:
    limit, ours = WEIGHT // PAGE_WEIGHT * PAGE_CANDLES, OUR_CALLS * PAGE_CANDLES
    rate, size, bits = fetched["candles"] / fetched["seconds"], file["bytes"] / file["candles"], MINUTES * ZIP_BYTES * 8
    weight = TRADING * -(-1440 // PAGE_CANDLES) * PAGE_WEIGHT
    fastest, usual = MINUTES / limit / 60, MINUTES / ours / 60
    share = TRADING * PAGE_WEIGHT / WEIGHT
    rows = [
        ["REST at the exchange's limit", f"{limit:,} candles per minute", f"{fastest:.0f} hours per address"],
        ["REST at our default", f"{OUR_CALLS:,} calls per minute", f"{usual:.0f} hours per address"],
        ["REST, over the network", f"{REST_BYTES} bytes per candle", f"{MINUTES * REST_BYTES / 1e9:.0f} GB"],
        ["archive, two cores, small store", f"{_short(rate)} candles per second", f"{MINUTES / rate / 3600:.1f} hours"],
        ["archive, over the network", f"{ZIP_BYTES} bytes per candle", f"{bits / 8e9:.0f} GB"],
        ["the same at 100 Mbit/s", "bytes / rate", f"{bits / 1e8 / 3600:.0f} hours"],
        ["a day's growth", f"{TRADING} symbols times 1,440", f"{DAY:,} candles, {DAY * size / 1e6:.0f} MB in the file"],
        ["a year's growth", "365 days", f"{DAY * 365 / 1e6:.0f} M candles, {DAY * 365 * size / 1e9:.1f} GB"],
        ["catching up a day", "two pages per symbol", f"{weight:,} weight, {weight / WEIGHT * 60:.0f} s at the limit"],
        ["following every minute", "one page per symbol", f"{share:.0%} of an address's limit"],
    ]  # fmt: skip
    return _table(["", "by", "gives"], rows)


def _of(name: str, what: str, unit: float = 1.0) -> Value:
    """Returns a function that reads a figure of a query, or None if the query failed."""
    return lambda point: point["queries"][name][what] / unit if name in point["queries"] else None


def _scaled(point: Point, value: Value) -> float | None:
    measured = value(point)
    return None if measured is None else measured / point["candles"] * MINUTES


def _line(points: Sequence[Point], value: Value, minutes: float = MINUTES) -> float | None:
    """Extrapolates on the straight line through the two largest sizes; a falling figure counts as constant."""
    before, last = value(points[-2]), value(points[-1])
    if before is None or last is None:
        return None
    slope = (last - before) / (points[-1]["candles"] - points[-2]["candles"])
    return last + max(0.0, slope) * (minutes - points[-1]["candles"])


def _hours(points: Sequence[Point]) -> float:
    """Returns the hours to append everything: the cost per candle grows with the store, so the cost half way counts."""
    half = _line(points, lambda point: 1 / point["median_rate"], MINUTES / 2)
    return MINUTES * (half or 0) / 3600


def _short(value: float | None) -> str:
    """Returns a number with two or three significant digits; a dash for None."""
    if value is None:
        return "-"
    if value >= 1_000:
        return f"{round(value, 3 - len(str(int(value)))):,.0f}"
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.1f}" if value >= 10 else f"{value:.2g}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def current() -> str:
    """Returns the page with the figures of the results beside this file."""
    scale = json.loads((HERE / "results" / "scale.json").read_text(encoding="utf-8"))
    return written(PAGE.read_text(encoding="utf-8"), tables(scale))


def main() -> None:
    """Renews the page."""
    PAGE.write_text(current(), encoding="utf-8")


if __name__ == "__main__":
    main()
