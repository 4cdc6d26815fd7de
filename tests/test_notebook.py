"""The example notebook runs from start to end and survives an export; tables, results and errors show well in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from tests.support.browser import Browser
from tests.support.evidence_helpers import write_settings
from tests.support.transcripts import ROOT
from threadx_duck import notebook
from threadx_duck.config import StoreSettings
from threadx_duck.download.results import SymbolResult
from threadx_duck.errors import StoreError
from threadx_duck.simulator import LoopbackExchange, generate_market
from threadx_duck.storage.session import prepare
from threadx_duck.storage.store import Store


def _text(cell: Any) -> str:
    return "".join(str(output.get("text", "")) + str(output.get("data", "")) for output in cell.outputs)


# The three days of the notebook, with the outage that the exchange had then.
FIRST, AFTER = datetime(2023, 3, 23), datetime(2023, 3, 26)
OUTAGE = (datetime(2023, 3, 24, 12, 40), datetime(2023, 3, 24, 14))


@pytest.fixture
def notebook_exchange(tmp_path: Path) -> Iterator[LoopbackExchange]:
    """An exchange with the notebook's symbols and days, named by the settings of the test's folder."""
    for package in ("nbclient", "nbconvert", "nbformat", "ipykernel", "sql"):
        pytest.importorskip(package, reason="needs threadx_duck[notebook]")
    market = generate_market(["BTCUSDT", "ETHUSDT"], start=FIRST, end=AFTER, outages=[OUTAGE])
    with LoopbackExchange(market, now=AFTER.replace(tzinfo=UTC)) as serving:
        write_settings(tmp_path, serving.url)
        yield serving


def _execute(folder: Path, **options: Any) -> Any:
    """The example notebook with the outputs of its cells."""
    import nbclient
    import nbformat

    document = nbformat.read(ROOT / "examples" / "notebook.ipynb", as_version=4)
    nbclient.NotebookClient(document, timeout=100, resources={"metadata": {"path": str(folder)}}, **options).execute()
    return document


def _shown(document: Any) -> list[tuple[str, str]]:
    return [(cell.source, _text(cell)) for cell in document.cells if cell.cell_type == "code"]


def _cell(document: Any, part: str) -> str:
    """What the one cell with this text in it shows."""
    (shown,) = [text for source, text in _shown(document) if part in source]
    return shown


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("notebook_exchange")
def test_notebook_runs_from_start_to_end_and_its_chart_survives_an_export(tmp_path: Path, browser: Browser) -> None:
    import nbconvert

    document = _execute(tmp_path)
    assert "<td>BTCUSDT</td><td>ok</td><td>4,240</td>" in _cell(document, "update_assets_batch")
    assert "71 rows by 14 columns" in _cell(document, 'hours = manager.candles("BTCUSDT", "1h"')
    day = re.sub(r"\s+", " ", _cell(document, "2023-03-24 11:00"))
    assert re.search(r"12:00:00\D+40\b.*outage", day)
    assert re.search(r"13:00:00\D+0\b.*outage", day)
    assert "millions" in _cell(document, "%%sql")

    exported, _ = nbconvert.HTMLExporter().from_notebook_node(document)
    (tmp_path / "notebook.html").write_text(exported, encoding="utf-8")
    page = browser._chromium.new_page(offline=True)
    page.goto((tmp_path / "notebook.html").as_uri())
    frame = page.frame_locator("iframe")
    frame.locator("html[data-drawn]").wait_for(state="attached")
    assert frame.locator("h1").inner_text() == "BTCUSDT 1h"
    assert "71 candles from 2023-03-23 00:00 to 2023-03-25 23:00 UTC" in frame.locator("header p").inner_text()
    box = frame.locator("#chart canvas").first.bounding_box()
    assert box is not None
    assert box["height"] > 200


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_notebook_without_a_store_shows_the_reason_and_a_sentence_per_cell(
    notebook_exchange: LoopbackExchange, tmp_path: Path
) -> None:
    notebook_exchange.fail(400, times=None, code=-1121)
    document = _execute(tmp_path, allow_errors=True)
    assert re.search(r"<td>BTCUSDT</td><td>failed</td>.*no symbol", _cell(document, "update_assets_batch"))
    for part in ("hours = manager.candles", "2023-03-24 11:00", "%load_ext sql", "notebook.chart"):
        (cell,) = [cell for cell in document.cells if part in cell.source and cell.cell_type == "code"]
        (error,) = [output for output in cell.outputs if output.output_type == "error"]
        (line,) = error.traceback
        assert line.startswith("threadx: error: There is no store at ")
        assert "\n" not in line


def test_connection_of_a_missing_store_is_refused_in_a_sentence(store_path: Path) -> None:
    with pytest.raises(StoreError, match="There is no store at") as caught:
        Store(StoreSettings(database=store_path)).connect()
    assert caught.value._render_traceback_() == [f"threadx: error: {caught.value}"]
    assert not store_path.exists()


def test_connection_reads_and_cannot_write(empty_store: Path) -> None:
    with Store(StoreSettings(database=empty_store)).connect() as connection:
        assert connection.sql("from candles_1m").fetchall() == []
        with pytest.raises(duckdb.Error, match="read-only"):
            connection.execute("delete from candles_1m")


def test_failed_download_shows_its_reason() -> None:
    results = {"AUSDC": SymbolResult("AUSDC", rows_added=1_440), "B": SymbolResult("B", "failed", error="451 <said>")}
    shown = notebook.results_to_html(results)
    assert shown is not None
    assert "<td>AUSDC</td><td>ok</td><td>1,440</td><td>0</td><td>0</td><td></td>" in shown
    assert "<td>B</td><td>failed</td><td>0</td><td>0</td><td>0</td><td>451 &lt;said&gt;</td>" in shown
    assert notebook.results_to_html({}) is None
    assert notebook.results_to_html({**results, "C": 1}) is None


def test_chart_is_one_frame_that_holds_its_whole_page() -> None:
    drawn = notebook.Chart('<p class="a">1 & 2</p>', "2 candles.", 300)
    assert repr(drawn) == "2 candles."
    assert drawn._repr_html_() == (
        '<iframe title="2 candles." style="width: 100%; height: 300px; border: 0" '
        'srcdoc="&lt;p class=&quot;a&quot;&gt;1 &amp; 2&lt;/p&gt;"></iframe>'
    )


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
    registered: dict[Any, Any] = {}
    formatter = SimpleNamespace(
        for_type_by_name=lambda module, name, show: registered.update({f"{module}.{name}": show}),
        for_type=lambda kind, show: registered.update({kind: show}),
        pop=registered.pop,
    )
    shell = SimpleNamespace(display_formatter=SimpleNamespace(formatters={"text/html": formatter}))
    notebook.load_ipython_extension(shell)
    assert registered == {"pyarrow.lib.Table": notebook.to_html, dict: notebook.results_to_html}
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
