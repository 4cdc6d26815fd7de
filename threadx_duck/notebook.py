"""``%load_ext threadx_duck.notebook`` shows Arrow tables in a notebook as tables of first and last rows."""

from __future__ import annotations

import html
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

_EDGE = 5


def load_ipython_extension(shell: Any) -> None:
    """Registers the table format. IPython calls this."""
    shell.display_formatter.formatters["text/html"].for_type_by_name("pyarrow.lib", "Table", to_html)


def unload_ipython_extension(shell: Any) -> None:
    """Removes the table format. IPython calls this."""
    shell.display_formatter.formatters["text/html"].pop("pyarrow.lib.Table", None)


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
