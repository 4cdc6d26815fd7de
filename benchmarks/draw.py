"""Draws the curves that growth.py hands over as JSON; runs in an environment that has matplotlib."""

from __future__ import annotations

import json
import sys

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt


def main() -> None:
    """Reads curves from stdin, writes the picture named on the command line."""
    curves = json.load(sys.stdin)
    mpl.rcParams["svg.hashsalt"] = "threadx_duck"
    figure, axes = plt.subplots(figsize=(7, 4.2))
    for name, points in curves.items():
        sizes = [size for size, _ in points]
        first = points[0][1]
        axes.plot(sizes, [seconds / first for _, seconds in points], marker="o", label=name)
    axes.plot(sizes, [size / sizes[0] for size in sizes], linestyle=":", color="grey", label="linear")
    axes.set(
        xscale="log", yscale="log", xlabel="candles in the store", ylabel=f"time, relative to {sizes[0]:,} candles"
    )
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(sys.argv[1], metadata={"Date": None} if sys.argv[1].endswith(".svg") else None)


if __name__ == "__main__":
    main()
