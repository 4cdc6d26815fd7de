"""The table of timeframes: label, width, view, and the exchange's own interval."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

from threadx_duck.errors import UnknownTimeframeError

_LABEL = re.compile(r"([1-9][0-9]{0,3})([mhdw])")
_UNITS = {"m": ("minutes", 1), "h": ("hours", 60), "d": ("days", 1_440), "w": ("weeks", 10_080)}


@dataclass(frozen=True)
class Timeframe:
    """A width of candles.

    ``width`` is the text of a SQL interval; ``minutes`` is the number of minutes in one candle, or None
    for months, whose length varies; ``interval`` is the exchange's parameter for its own candles of this
    width, or None if it publishes no such candles.
    """

    label: str
    width: str
    minutes: int | None
    interval: str | None

    @property
    def view(self) -> str:
        """The name of the view of this timeframe; only timeframes in `TIMEFRAMES` have a view."""
        return f"candles_{self.label}"

    @property
    def step(self) -> timedelta:
        """The longest time between the open times of two neighbouring candles."""
        return timedelta(minutes=44_640 if self.minutes is None else self.minutes)


def _named(label: str, *, published: bool = True) -> Timeframe:
    if label == "1mo":
        return Timeframe("1mo", "1 month", None, "1M")
    match = _LABEL.fullmatch(label)
    if match is None:
        raise ValueError(label)
    unit, minutes = _UNITS[match[2]]
    return Timeframe(label, f"{match[1]} {unit}", int(match[1]) * minutes, label if published else None)


# Only this package has 3h: the exchange publishes no such interval (binance-spot-api-docs, rest-api.md, klines).
TIMEFRAMES: dict[str, Timeframe] = {
    label: _named(label, published=label != "3h")
    for label in ["1m", "3m", "5m", "15m", "30m", "1h", "2h", "3h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1mo"]
}
ONE_MINUTE = TIMEFRAMES["1m"]


def parse_timeframe(label: str) -> Timeframe:
    """Returns the timeframe of a label such as ``3h``: any ``<n>m``, ``<n>h``, ``<n>d``, ``<n>w``, or ``1mo``.

    Raises `UnknownTimeframeError` for anything else, even for ``1M``, which differs from ``1m`` only by case.
    """
    if label in TIMEFRAMES:
        return TIMEFRAMES[label]
    if not _LABEL.fullmatch(label):
        raise UnknownTimeframeError(
            f"Unknown timeframe {label!r}. Write a number and m, h, d or w, such as 3h, or 1mo for months."
        )
    return _named(label, published=False)
