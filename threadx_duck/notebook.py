"""Shows candles in a notebook: tables, results of downloads with their reasons, and charts.

``%load_ext threadx_duck.notebook`` registers the first two, `chart` draws.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from threadx_duck.charts.candles import make_chart
from threadx_duck.download.results import SymbolResult

if TYPE_CHECKING:
    import pyarrow as pa

    from threadx_duck.candles.times import TimeLike
    from threadx_duck.ingest import IngestionManager

_EDGE = 5
_RESULT_HEADS = ["symbol", "status", "new", "revised", "rejected", "reason"]


def load_ipython_extension(shell: Any) -> None:
    """Registers how tables and results show. IPython calls this."""
    formatter = shell.display_formatter.formatters["text/html"]
    formatter.for_type_by_name("pyarrow.lib", "Table", to_html)
    formatter.for_type(dict, results_to_html)


def unload_ipython_extension(shell: Any) -> None:
    """Removes what `load_ipython_extension` registered. IPython calls this."""
    formatter = shell.display_formatter.formatters["text/html"]
    formatter.pop("pyarrow.lib.Table", None)
    formatter.pop(dict, None)


class Chart:
    """A page that a notebook shows in a frame; it is part of the output, so it stays in an HTML export, offline too."""

    def __init__(self, page: str, note: str, height: int) -> None:
        self._page, self._note, self._height = page, note, height

    def __repr__(self) -> str:
        """Returns the sentence on what the chart shows, for where no HTML is shown."""
        return self._note

    def _repr_html_(self) -> str:
        style = f"width: 100%; height: {self._height}px; border: 0"
        return f'<iframe title="{html.escape(self._note)}" style="{style}" srcdoc="{html.escape(self._page)}"></iframe>'


def chart(
    manager: IngestionManager,
    symbol: str,
    timeframe: str,
    start_date: TimeLike | None = None,
    end_date: TimeLike | None = None,
    *,
    height: int = 480,
) -> Chart:
    """Returns the chart of ``threadx chart`` as the value of a cell, ``height`` pixels high.

    Raises `UsageError` if there are no candles, and `StoreError`.
    """
    return Chart(*make_chart(manager, symbol, timeframe, start_date, end_date), height)


def results_to_html(results: Mapping[Any, Any]) -> str | None:
    """Returns results of a download as an HTML table with the reason of each failure; None for any other mapping."""
    if not results or not all(isinstance(result, SymbolResult) for result in results.values()):
        return None
    rows = [
        [result.symbol, result.status, *map(_counted, _counts(result)), result.error or ""]
        for result in results.values()
    ]
    body = "".join(_cells("td", row) for row in rows)
    return f"<table><thead>{_cells('th', _RESULT_HEADS)}</thead><tbody>{body}</tbody></table>"


def to_html(table: pa.Table) -> str:
    """Returns the table as HTML: all rows of a short one, the first and last of a long one, and the row count."""
    head = _cells("th", table.column_names)
    if table.num_rows <= 2 * _EDGE + 1:
        body = _rows(table)
    else:
        body = _rows(table.slice(0, _EDGE)) + _cells("td", ["…"] * table.num_columns)
        body += _rows(table.slice(table.num_rows - _EDGE))
    count = f"{table.num_rows:,} rows by {table.num_columns} columns"
    return f"<table><thead>{head}</thead><tbody>{body}</tbody></table><p>{count}</p>"


def _counts(result: SymbolResult) -> tuple[int, int, int]:
    return result.rows_added, result.rows_revised, result.rows_rejected


def _counted(count: int) -> str:
    return f"{count:,}"


def _rows(table: pa.Table) -> str:
    return "".join(_cells("td", [_shown(value) for value in row.values()]) for row in table.to_pylist())


def _cells(tag: str, texts: list[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(text)}</{tag}>" for text in texts) + "</tr>"


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.10g}" if isinstance(value, float) else str(value)
