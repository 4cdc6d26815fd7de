"""The example notebook runs from start to end, and tables show well in it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from tests.support.transcripts import ROOT
from threadx_duck import notebook
from threadx_duck.storage.session import prepare


def _text(cell: Any) -> str:
    return "".join(str(output.get("text", "")) + str(output.get("data", "")) for output in cell.outputs)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("settings")
def test_notebook_runs_from_start_to_end(tmp_path: Path) -> None:
    nbclient = pytest.importorskip("nbclient", reason="needs threadx_duck[notebook]")
    nbformat = pytest.importorskip("nbformat", reason="needs threadx_duck[notebook]")
    pytest.importorskip("sql", reason="needs threadx_duck[notebook]")
    pytest.importorskip("ipykernel", reason="needs threadx_duck[notebook]")
    document = nbformat.read(ROOT / "examples" / "notebook.ipynb", as_version=4)
    nbclient.NotebookClient(document, timeout=100, resources={"metadata": {"path": str(tmp_path)}}).execute()
    cells = [cell for cell in document.cells if cell.cell_type == "code"]
    shown = [_text(cell) for cell in cells]
    assert "('ok', 4200)" in shown[0]
    assert "70 rows by 14 columns" in shown[1]
    assert "BTCUSDC" in shown[2]
    by_sql = next(text for cell, text in zip(cells, shown, strict=True) if cell.source.startswith("%%sql"))
    assert "millions" in by_sql
    assert any("outage" in text for text in shown)
    assert any("application/vnd.plotly" in text for text in shown)


def test_notebook_is_stored_without_output() -> None:
    text = (ROOT / "examples" / "notebook.ipynb").read_text(encoding="utf-8")
    assert '"outputs": []' in text
    assert '"output_type"' not in text


def test_table_in_a_notebook_shows_its_edges_and_how_long_it_is() -> None:
    table = pa.table({"open_time": [datetime(2024, 1, 1)] * 20, "<b>": [None, 1.5] * 10, "yes": [True, False] * 10})
    shown = notebook.to_html(table)
    assert shown.count("<tr>") == 1 + 5 + 1 + 5
    assert "<th>&lt;b&gt;</th>" in shown
    assert "<td>2024-01-01 00:00</td><td></td><td>yes</td>" in shown
    assert shown.endswith("<p>20 rows by 3 columns</p>")
    assert notebook.to_html(table.slice(0, 11)).count("<tr>") == 12


def test_extension_registers_how_tables_show_and_takes_it_back() -> None:
    registered: dict[str, Any] = {}
    formatter = SimpleNamespace(
        for_type_by_name=lambda module, name, show: registered.update({f"{module}.{name}": show}), pop=registered.pop
    )
    shell = SimpleNamespace(display_formatter=SimpleNamespace(formatters={"text/html": formatter}))
    notebook.load_ipython_extension(shell)
    assert registered == {"pyarrow.lib.Table": notebook.to_html}
    notebook.unload_ipython_extension(shell)
    assert registered == {}


def test_connection_that_refuses_the_progress_bar_setting_is_used_all_the_same() -> None:
    # As DuckDB does in Jupyter without ipywidgets.
    asked = []

    class Connection:
        def execute(self, statement: str) -> None:
            asked.append(statement)
            if "progress" in statement:
                raise duckdb.InvalidInputException("required package 'ipywidgets' is missing")

    prepare(Connection())  # type: ignore[arg-type]
    assert asked[0] == "set TimeZone = 'UTC'"
    assert asked[-1] == "set enable_progress_bar = false"
