"""What is stored, as a picture: symbols by months, coloured by why minutes are missing."""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING, Any

from threadx_duck.charts import PAGE, REASON_COLOURS, require_plotly, write_page
from threadx_duck.errors import UsageError
from threadx_duck.store import Store
from threadx_duck.whole_files import require_no_database

if TYPE_CHECKING:
    import plotly.graph_objects as go

# What a month is coloured by, the last that holds: what somebody has to see to stands out.
_REASONS = ("not_published", "outage", "rejected", "not_downloaded")
_COLOURS = {"complete": "#26a69a", **{reason: REASON_COLOURS[reason] for reason in _REASONS}}
_STATES = list(_COLOURS)

_ROW_HEIGHT = 22
_HOVER = (
    "<b>%{y} %{x}</b><br>%{customdata[0]} of %{customdata[1]} minutes (%{customdata[2]})<br>"
    "outage %{customdata[3]}<br>not published %{customdata[4]}<br>"
    "rejected %{customdata[5]}<br>not downloaded %{customdata[6]}<extra></extra>"
)


def write_coverage_map(store: Store, file: Path) -> str:
    """Writes the map of everything stored as one HTML file and returns a sentence on what it shows.

    Raises `MissingExtraError` if plotly is not installed, `UsageError` if nothing is stored or the file
    cannot be written, `StoreError`.
    """
    require_plotly()
    require_no_database(file)
    rows = store.query("queries/coverage_by_month").to_pylist()
    if not rows:
        raise UsageError(f"Nothing is stored in {store.name} yet. Run: threadx ingest BTCUSDC")
    figure = _draw(rows)
    symbols, missing = {row["symbol"] for row in rows}, sum(row["expected"] - row["candles"] for row in rows)
    note = (
        f"{sum(row['candles'] for row in rows):,} candles of {len(symbols):,} symbols in {len(rows):,} months; "
        f"{missing:,} minutes are missing, {sum(row['not_downloaded'] for row in rows):,} of them not downloaded."
    )
    config = {"displaylogo": False, "responsive": True}
    drawn = figure.to_html(full_html=False, include_plotlyjs=True, default_height="100%", config=config)
    write_page(file, PAGE.format(title="Coverage", note=html.escape(note), figure=drawn))
    return note


def state_of(row: dict[str, Any]) -> str:
    """What a month is coloured by: ``complete``, or the reason that most needs somebody."""
    found = [reason for reason in _REASONS if row[reason]]
    return found[-1] if found else "complete"


def _draw(rows: list[dict[str, Any]]) -> go.Figure:
    import plotly.graph_objects as go

    months = sorted({row["month"] for row in rows})
    symbols = sorted({row["symbol"] for row in rows})
    column = {month: number for number, month in enumerate(months)}
    line = {symbol: number for number, symbol in enumerate(symbols)}
    states: list[list[int | None]] = [[None] * len(months) for _ in symbols]
    told: list[list[list[str]]] = [[[""] * 7 for _ in months] for _ in symbols]
    for row in rows:
        states[line[row["symbol"]]][column[row["month"]]] = _STATES.index(state_of(row))
        told[line[row["symbol"]]][column[row["month"]]] = _numbers(row)
    figure = go.Figure(
        go.Heatmap(
            z=states,
            x=[f"{month:%Y-%m}" for month in months],
            y=symbols,
            customdata=told,
            hovertemplate=_HOVER,
            hoverongaps=False,
            colorscale=_scale(),
            zmin=-0.5,
            zmax=len(_STATES) - 0.5,
            showscale=False,
            xgap=1,
            ygap=1,
        )
    )
    for state, colour in _COLOURS.items():
        # Only for the legend: a map has none of its own.
        marker = {"color": colour, "symbol": "square", "size": 11}
        figure.add_scatter(x=[None], y=[None], mode="markers", marker=marker, name=state.replace("_", " "))
    figure.update_layout(
        template="plotly_white",
        height=max(320, 120 + _ROW_HEIGHT * len(symbols)),
        margin={"l": 20, "r": 20, "t": 46, "b": 30},
        legend={"orientation": "h", "x": 0, "y": 1.01, "yanchor": "bottom"},
        xaxis={"type": "category", "showgrid": False},
        yaxis={"type": "category", "autorange": "reversed", "automargin": True, "showgrid": False},
    )
    return figure


def _scale() -> list[tuple[float, str]]:
    """Steps of one colour each."""
    count = len(_STATES)
    return [(edge / count, _COLOURS[state]) for number, state in enumerate(_STATES) for edge in (number, number + 1)]


def _numbers(row: dict[str, Any]) -> list[str]:
    share = f"{100 * row['candles'] / row['expected']:.2f} %"
    reasons = ("outage", "not_published", "rejected", "not_downloaded")
    return [f"{row['candles']:,}", f"{row['expected']:,}", share, *(f"{row[reason]:,}" for reason in reasons)]
