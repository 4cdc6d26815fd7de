"""Candles as a page for the browser: self-contained, and usable without a network."""

from __future__ import annotations

import html
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from threadx_duck.errors import MissingExtraError, UsageError
from threadx_duck.ingest import IngestionManager
from threadx_duck.timeframes import parse_timeframe
from threadx_duck.times import TimeLike
from threadx_duck.whole_files import require_no_database, write_whole

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import pyarrow as pa

# A browser draws each candle as a shape of its own; beyond this it is no pleasure.
MOST_CANDLES = 50_000

_UP, _DOWN = "#26a69a", "#ef5350"
_INCOMPLETE = "#f0b429"
REASON_COLOURS = {
    "not_downloaded": "#f0b429",
    "rejected": "#b5179e",
    "outage": "#2f6fde",
    "not_published": "#8b95a1",
}
_BUTTONS = (("day", 1, "day"), ("week", 7, "day"), ("month", 1, "month"), ("year", 1, "year"))
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
html, body {{ height: 100%; margin: 0; font-family: system-ui, sans-serif; background: #fff; color: #1c1c1c; }}
body {{ display: flex; flex-direction: column; }}
header {{ padding: 10px 18px 0; }}
h1 {{ font-size: 1.15rem; margin: 0; }}
p {{ margin: 2px 0 0; color: #5f6368; font-size: .9rem; }}
main {{ flex: 1; min-height: 320px; }}
</style>
</head>
<body>
<header><h1>{title}</h1><p>{note}</p></header>
<main>{figure}</main>
</body>
</html>
"""


def write_chart(
    manager: IngestionManager,
    symbol: str,
    timeframe: str,
    start_date: TimeLike | None = None,
    end_date: TimeLike | None = None,
    *,
    file: Path,
) -> str:
    """Writes the chart of a symbol and timeframe as one HTML file and returns a sentence on what it shows.

    Shows the stored candles that open in the range, the last `MOST_CANDLES` of them at most. Raises
    `MissingExtraError` if plotly is not installed, `UsageError` if there are no candles or the file
    cannot be written.
    """
    require_plotly()
    require_no_database(file)
    minutes = parse_timeframe(timeframe).minutes
    candles = manager.candles(symbol, timeframe, start_date, end_date)
    if not candles.num_rows:
        raise UsageError(f"No {timeframe} candles of {symbol} open in that range.")
    left_out = max(0, candles.num_rows - MOST_CANDLES)
    candles = candles.slice(left_out)
    first, last = candles["open_time"][0].as_py(), candles["open_time"][-1].as_py()
    gaps = manager.gaps([symbol], first, end_date)
    note = _describe(candles, gaps, left_out, first, last)
    figure = _draw(candles, gaps, minutes)
    text = PAGE.format(
        title=html.escape(f"{symbol} {timeframe}"),
        note=html.escape(note),
        figure=figure.to_html(
            full_html=False,
            include_plotlyjs=True,
            default_height="100%",
            config={"scrollZoom": True, "displaylogo": False, "responsive": True},
        ),
    )
    write_page(file, text)
    return note


def require_plotly() -> None:
    """Raises `MissingExtraError` if plotly is not installed."""
    try:
        import plotly  # noqa: F401 - only whether it is there
    except ImportError as error:
        raise MissingExtraError(
            "Charts need plotly, which is not installed. Install it with: pip install 'threadx_duck[chart]'"
        ) from error


def _describe(candles: pa.Table, gaps: pa.Table, left_out: int, first: datetime, last: datetime) -> str:
    incomplete = _incomplete(candles).num_rows
    parts = [
        f"{candles.num_rows:,} candles from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC",
        f"{incomplete:,} incomplete",
        f"{gaps.num_rows:,} gap{'' if gaps.num_rows == 1 else 's'}",
    ]
    if left_out:
        parts.append(f"{left_out:,} earlier candles are left out; name a --start and --end to see them")
    return "; ".join(parts) + "."


def _draw(candles: pa.Table, gaps: pa.Table, minutes: int | None) -> go.Figure:
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.78, 0.22], vertical_spacing=0.02)
    _add_candles(figure, candles)
    _add_incomplete(figure, candles)
    _add_gaps(figure, gaps)
    figure.update_layout(
        template="plotly_white",
        margin={"l": 60, "r": 50, "t": 46, "b": 30},
        # Upright at the side, where it covers neither legend nor buttons.
        modebar={"orientation": "v", "remove": ["select2d", "lasso2d"]},
        hovermode="x unified",
        dragmode="pan",
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1.01, "yanchor": "bottom"},
        # Gaps reach from top to bottom of the prices, on an axis of their own that stays where it is.
        yaxis3={"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True},
        bargap=0,
    )
    buttons: list[dict[str, Any]] = [
        {"label": label, "count": count, "step": step, "stepmode": "backward"} for label, count, step in _BUTTONS
    ]
    figure.update_xaxes(
        rangeslider_visible=False,
        rangeselector={"buttons": [*buttons, {"label": "all", "step": "all"}], "y": 1.01, "yanchor": "bottom"},
        row=1,
        col=1,
    )
    figure.update_xaxes(type="date", showspikes=True, spikemode="across", spikethickness=1)
    figure.update_yaxes(title_text="price", row=1, col=1)
    figure.update_yaxes(title_text="volume", fixedrange=True, row=2, col=1)
    if minutes is not None:
        _keep_last_in_sight(figure, candles, minutes)
    return figure


def _keep_last_in_sight(figure: go.Figure, candles: pa.Table, minutes: int) -> None:
    """The last candle is as wide as the others; without this, half of it would lie outside."""
    times = _milliseconds(candles["open_time"])
    figure.update_xaxes(range=[float(times[0]) - minutes * 60_000, float(times[-1]) + minutes * 60_000])


def _add_candles(figure: go.Figure, candles: pa.Table) -> None:
    import plotly.graph_objects as go
    import pyarrow.compute as pc

    times = _milliseconds(candles["open_time"])
    prices = {name: candles[name].to_numpy() for name in ("open", "high", "low", "close")}
    figure.add_trace(
        go.Candlestick(
            x=times, **prices, name="candles", increasing_line_color=_UP, decreasing_line_color=_DOWN, line_width=1
        ),
        row=1,
        col=1,
    )
    is_up = pc.greater_equal(candles["close"], candles["open"])
    colours = pc.if_else(is_up, _UP, _DOWN).to_numpy()
    figure.add_trace(
        go.Bar(x=times, y=candles["volume"].to_numpy(), name="volume", marker={"color": colours, "line": {"width": 0}}),
        row=2,
        col=1,
    )


def _add_incomplete(figure: go.Figure, candles: pa.Table) -> None:
    import plotly.graph_objects as go

    found = _incomplete(candles)
    if not found.num_rows:
        return
    figure.add_trace(
        go.Scatter(
            x=_milliseconds(found["open_time"]),
            y=found["low"].to_numpy(),
            customdata=_stacked(found, ("minutes", "expected_minutes")),
            hovertemplate="incomplete: %{customdata[0]:,} of %{customdata[1]:,} minutes<extra></extra>",
            mode="markers",
            marker={"symbol": "triangle-up", "color": _INCOMPLETE, "size": 9, "line": {"color": "#8a5300", "width": 1}},
            name="incomplete",
        ),
        row=1,
        col=1,
    )


def _add_gaps(figure: go.Figure, gaps: pa.Table) -> None:
    """One trace a reason, whatever the number of its gaps."""
    import plotly.graph_objects as go
    import pyarrow.compute as pc

    for reason, colour in REASON_COLOURS.items():
        found = gaps.filter(pc.field("reason") == reason)
        if not found.num_rows:
            continue
        since, until = _milliseconds(found["gap_start"]), _milliseconds(found["gap_end"])
        figure.add_trace(
            go.Bar(
                x=(since + until) / 2,
                y=[1] * found.num_rows,
                width=until - since,
                yaxis="y3",
                xaxis="x",
                customdata=_stacked(found, ("missing",)),
                hovertemplate=f"gap, {reason.replace('_', ' ')}: %{{customdata[0]:,}} minutes<extra></extra>",
                marker={"color": colour, "opacity": 0.35, "line": {"color": colour, "width": 1}},
                name=f"gap: {reason.replace('_', ' ')}",
            )
        )


def _incomplete(candles: pa.Table) -> pa.Table:
    """The candles that lack minutes; a 1m candle lacks none."""
    import pyarrow.compute as pc

    if "is_complete" not in candles.column_names:
        return candles.slice(0, 0)
    return candles.filter(~pc.field("is_complete"))


def _milliseconds(times: pa.ChunkedArray) -> Any:
    """Times as the browser counts them; floats, because a whole number of 64 bits has no place in JavaScript."""
    return times.to_numpy().astype("datetime64[ms]").astype("int64").astype("float64")


def _stacked(table: pa.Table, columns: tuple[str, ...]) -> Any:
    import numpy as np

    return np.column_stack([table[name].to_numpy() for name in columns])


def write_page(file: Path, text: str) -> None:
    """Writes a page in one step. Raises `UsageError`."""
    try:
        write_whole(file, text.encode())
    except OSError as error:
        raise UsageError(f"Cannot write {file}: {error.strerror or error}.") from error
