"""Draws the panels of curves that growth.py and scale.py pass as JSON; needs matplotlib."""

from __future__ import annotations

import json
import sys

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt


def main() -> None:
    """Reads panels from stdin, writes the picture named on the command line. Curves of one name share a colour."""
    panels = json.load(sys.stdin)
    mpl.rcParams["svg.hashsalt"] = "threadx_duck"
    width = 7 if len(panels) == 1 else 4.7 * len(panels)
    figure, grid = plt.subplots(1, len(panels), figsize=(width, 4.2), squeeze=False)
    for panel, axes in zip(panels, grid[0], strict=True):
        colours: dict[str, str] = {}
        for curve in panel["curves"]:
            name, known = curve["name"], curve["name"] in colours
            (line,) = axes.plot(
                *zip(*curve["points"], strict=True),
                marker=curve.get("marker", "o"),
                linestyle=curve.get("style", "-"),
                color=curve.get("colour") or colours.get(name),
                label=None if known else name,
            )
            colours[name] = line.get_color()
        axes.set(xscale="log", yscale=panel.get("scale", "log"), xlabel=panel["x"], ylabel=panel["y"])
        axes.set(title=panel.get("title"), ylim=panel.get("limits"))
        axes.grid(visible=True, which="major", alpha=0.3)
        if panel.get("legend", True):
            axes.legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(sys.argv[1], metadata={"Date": None} if sys.argv[1].endswith(".svg") else None)


if __name__ == "__main__":
    main()
